// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { dropMatch, dropText } from '../shared/by-reason.ts';
import { NO_REASON } from '../shared/kernel.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';
import { tunnelSender } from '../shared/tunnels.ts';
import { deviceName } from '../shared/wording.ts';

const SAYS: Readonly<Record<string, string>> = {
  TUNNEL_TXINFO: 'was to leave by a tunnel that nobody told where to',
  VXLAN_ENTRY_EXISTS: 'came by another way than the VXLAN device knows for its MAC address',
  IP_TUNNEL_ECN: 'came through a tunnel with congestion marks that contradict each other',
  RECURSION_LIMIT: 'went through too many devices one in the other: a loop of tunnels',
  PSP_INPUT: 'did not have the PSP encryption that its socket asks for',
  PSP_OUTPUT: 'could not be encrypted by PSP',
};

/** The same of what a tunnel was to send: other devices have these reasons too. */
const SAYS_OF_SENT: Readonly<Record<string, string>> = {
  NO_TX_TARGET: 'is for a MAC address behind no other end that its tunnel knows',
  IP_OUTNOROUTES:
    'found no way to the other end of its tunnel: there is no route, or it leads into the tunnel itself',
  [NO_REASON]:
    'could not be sent by its tunnel for one of: the tunnel does not know where to; no route to its other end; a route that leads into the tunnel itself; the segment is too long',
};

/** What WireGuard gives no reason for. */
const UNKNOWN_PEER =
  'could not be sent by its tunnel: no peer of this WireGuard device has its destination among its allowed IPs, or the endpoint of that peer is not known';

export default defineCause({
  id: 'tunnel-drop',
  title: 'a tunnel of this host dropped it',
  severity: 'warning',
  explains:
    'A tunnel of this host (VXLAN, Geneve, GRE, IPIP, WireGuard, PSP) could not send the segment, or refused it as it came out.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: [...SILENCE, 'icmp-unreachable'],
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { reason, location } = event.body;
    const name = known.dropReason(reason);
    const sender = tunnelSender(location, known);
    const what = SAYS[name] ?? (sender ? SAYS_OF_SENT[name] : undefined);
    if (what === undefined) return null;
    const match = dropMatch(event, known);
    const sent = SAYS[name] === undefined;
    const wireguard = sent && sender?.startsWith('wg_') === true;
    return { ...match, evidence: { ...match.evidence, sent, ...(wireguard && { wireguard }) } };
  },
  summary(evidence) {
    const { drop_reason, sent, wireguard } = evidence;
    return dropText(
      evidence,
      wireguard ? UNKNOWN_PEER : ((sent ? SAYS_OF_SENT : SAYS)[drop_reason] ?? ''),
    );
  },
  advice({ interface: device, netns, sent, wireguard }, { daddr }) {
    const dev = deviceName(device) ?? 'DEV';
    if (wireguard)
      return [
        `which peer has ${daddr} among its allowed IPs, and has it an endpoint? \`${inNetns(netns, `wg show ${dev}`)}\``,
        `by which device does ${daddr} go? \`${inNetns(netns, `ip route get ${daddr}`)}\``,
      ];
    return [
      ...(sent
        ? [
            `which other end has it for which MAC address? \`${inNetns(netns, `bridge fdb show dev ${dev}`)}\` The way there may not be ${dev} itself: \`${inNetns(netns, 'ip route get OTHER_END')}\``,
          ]
        : []),
      `how the tunnel is set up, and what it counts: \`${inNetns(netns, `ip -d -s link show dev ${dev}`)}\``,
      `by which device does ${daddr} go? \`${inNetns(netns, `ip route get ${daddr}`)}\``,
    ];
  },
});
