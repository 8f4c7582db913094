// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { dropMatch, dropText } from '../shared/by-reason.ts';
import { functionName, NO_REASON } from '../shared/kernel.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';
import { tunnelSender } from '../shared/tunnels.ts';
import { deviceName } from '../shared/wording.ts';

const SAYS: Readonly<Record<string, string>> = {
  BRIDGE_INGRESS_STP_STATE:
    'came in by a port that does not forward: its spanning tree blocks it or is not done, or its bridge is down',
  UNICAST_IN_L2_MULTICAST: 'is for this host, but came in a frame for everybody',
  LOCAL_MAC: 'came in with this host’s own MAC address as its sender',
  MAC_INVALID_SOURCE: 'came in with a MAC address as its sender that cannot be one',
  NO_TX_TARGET: 'has no port or device to go on by',
  TAP_FILTER: 'was refused by the filter of a tap device',
  TAP_TXFILTER: 'was refused by the address filter of a tap device',
};

const NOWHERE =
  'may go on by no port of its bridge: none leads there, or the one that does is the one that it came in by, does not forward, is isolated from it, or not in its VLAN';
const BACK =
  'would have to leave by the port that it came in by, for it was translated to its sender’s own address, and that port sends nothing back (its hairpin mode is off, or it is isolated)';
const NOT_IN_VLAN = 'is of a VLAN that the port of its bridge is not in';

/** Where the kernel gives no reason, by the function that drops. */
const BY_FUNCTION: Readonly<Record<string, string>> = {
  br_handle_frame:
    'came in by a port that does not forward, or with a MAC address as its sender that cannot be one',
  br_handle_frame_finish: NOWHERE,
  br_forward: NOWHERE,
  br_flood: NOWHERE,
  br_dev_xmit: NOWHERE,
  __allowed_ingress: NOT_IN_VLAN,
  br_allowed_ingress: NOT_IN_VLAN,
  br_handle_vlan: NOT_IN_VLAN,
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
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { reason, location } = event.body;
    const name = known.dropReason(reason);
    // A tunnel has its own words for where it cannot send to.
    if (name === 'NO_TX_TARGET' && tunnelSender(location, known)) return null;
    const by = functionName(location, known);
    const bridge = name === NO_REASON && BY_FUNCTION[by] !== undefined ? by : null;
    if (SAYS[name] === undefined && bridge === null) return null;
    const match = dropMatch(event, known);
    const { evidence, group, flow } = match;
    // What a host translates back to its sender leads to the port that it came in by.
    const hairpin = bridge !== null && BY_FUNCTION[bridge] === NOWHERE && flow.saddr === flow.daddr;
    return {
      ...match,
      evidence: { ...evidence, dropped_by: bridge, ...(hairpin && { hairpin }) },
      group: bridge === null ? group : `${group} ${bridge}${hairpin ? ' hairpin' : ''}`,
    };
  },
  summary(evidence) {
    const { drop_reason, dropped_by } = evidence;
    if (evidence.hairpin) return dropText(evidence, BACK);
    return dropText(
      evidence,
      (dropped_by === null ? SAYS[drop_reason] : BY_FUNCTION[dropped_by]) ?? '',
    );
  },
  advice({ interface: device, netns, hairpin }, { saddr, daddr }) {
    const dev = deviceName(device) ?? 'DEV';
    return [
      ...(hairpin
        ? [
            `${saddr} dials an address of this host (a published port, a service) that a rule here translates to ${daddr} itself. Let the bridge send it back: \`${inNetns(netns, `bridge link set dev ${dev} hairpin on`)}\` For good where the port is made: Docker’s userland-proxy, hairpinMode of the CNI plugin`,
            `or let ${saddr} dial itself by 127.0.0.1 or its own address`,
          ]
        : []),
      `the ports, their states, and which are isolated: \`${inNetns(netns, 'bridge -d link show')}\` their VLANs: \`${inNetns(netns, 'bridge vlan show')}\` and the bridge: \`${inNetns(netns, `ip -d link show dev ${dev}`)}\``,
      `which port leads to which MAC address: \`${inNetns(netns, 'bridge fdb show')}\``,
      `which MAC addresses are where? \`${inNetns(netns, 'ip neigh show')}\` and what comes: \`${inNetns(netns, `tcpdump -eni ${dev} tcp and host ${saddr} and host ${daddr}`)}\``,
    ];
  },
});
