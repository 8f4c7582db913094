// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { byReason, reasonText } from '../shared/by-reason.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceName } from '../shared/wording.ts';

const SAYS: Readonly<Record<string, string>> = {
  TUNNEL_TXINFO: 'was to leave by a tunnel that nobody told where to',
  VXLAN_ENTRY_EXISTS: 'came by another way than the VXLAN device knows for its MAC address',
  IP_TUNNEL_ECN: 'came through a tunnel with congestion marks that contradict each other',
  RECURSION_LIMIT: 'went through too many devices one in the other: a loop of tunnels',
  PSP_INPUT: 'did not have the PSP encryption that its socket asks for',
  PSP_OUTPUT: 'could not be encrypted by PSP',
};

export default defineCause({
  id: 'tunnel-drop',
  title: 'a tunnel of this host dropped it',
  severity: 'warning',
  explains:
    'A tunnel of this host (VXLAN, Geneve, GRE, PSP) could not send the segment, or refused it as it came out.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match: (event, known) => byReason(SAYS, event, known),
  summary: (evidence) => reasonText(SAYS, evidence),
  advice({ interface: device, netns }, { daddr }) {
    const dev = deviceName(device) ?? 'DEV';
    return [
      `how the tunnel is set up, and what it counts: \`${inNetns(netns, `ip -d -s link show dev ${dev}`)}\``,
      `by which device does ${daddr} go? \`${inNetns(netns, `ip route get ${daddr}`)}\``,
    ];
  },
});
