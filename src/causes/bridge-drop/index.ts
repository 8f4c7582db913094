// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { byReason, reasonText } from '../shared/by-reason.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceName } from '../shared/wording.ts';

const SAYS: Readonly<Record<string, string>> = {
  BRIDGE_INGRESS_STP_STATE:
    'came in by a port that its bridge does not forward from (spanning tree)',
  UNICAST_IN_L2_MULTICAST: 'is for this host, but came in a frame for everybody',
  LOCAL_MAC: 'came in with this host’s own MAC address as its sender',
  MAC_INVALID_SOURCE: 'came in with a MAC address as its sender that cannot be one',
  NO_TX_TARGET: 'has no port or device to go on by',
  TAP_FILTER: 'was refused by the filter of a tap device',
  TAP_TXFILTER: 'was refused by the address filter of a tap device',
};

export default defineCause({
  id: 'bridge-drop',
  title: 'a bridge or virtual switch of this host dropped it',
  severity: 'warning',
  explains:
    'A bridge, bond, tap or other virtual device of this host dropped a frame: a port that does not forward, or MAC addresses that cannot be.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match: (event, known) => byReason(SAYS, event, known),
  summary: (evidence) => reasonText(SAYS, evidence),
  advice({ interface: device, netns }, { saddr, daddr }) {
    const dev = deviceName(device) ?? 'DEV';
    return [
      `the ports and their states: \`${inNetns(netns, `ip -d link show dev ${dev}`)}\``,
      `which MAC addresses are where? \`${inNetns(netns, 'ip neigh show')}\` and what comes: \`${inNetns(netns, `tcpdump -eni ${dev} tcp and host ${saddr} and host ${daddr}`)}\``,
    ];
  },
});
