// SPDX-License-Identifier: Apache-2.0

import { familyOf } from '../../tcp/address.ts';
import { defineCause } from '../define.ts';
import { refusedWithoutReason } from '../shared/listen-drops.ts';
import { refusedAt, sharedAdvice, whichListener } from '../shared/listeners.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';

/** Of IPv6 the kernel counts no such route (ip6_dst_lookup_tail), only one that is missing. */
const REFUSING_ROUTE = 'a route to the client that refuses (unreachable, blackhole, prohibit)';
const OF_OTHERS = 'what was counted for the SYNs that arrived with it';

export default defineCause({
  id: 'syn-dropped-one-of',
  title: 'a SYN was refused, and no counter says why',
  severity: 'warning',
  explains:
    'A listener refused a SYN and only ListenDrops moved: a security module, no memory, a broken TCP-AO option, an address of many hosts, or with IPv6 a route back that refuses. Which of them, a command tells.',
  seenAs: ['connect-hangs'],
  needs: ['syn_fate'],
  on: ['syn_received'],
  leadsTo: SILENCE,
  match(event, known) {
    const refused = refusedWithoutReason(event);
    if (!refused) return null;
    const { packet, listener, one_of, mib } = refused;
    const { evidence, ...at } = refusedAt(event.netns, packet, listener, one_of, known);
    return {
      ...at,
      evidence: {
        ...evidence,
        one_of: [
          'a security module (SELinux, Smack, a BPF program)',
          'no memory for a half-open connection',
          'a TCP-AO option that cannot be read',
          'an address of many hosts (broadcast, multicast)',
          ...(familyOf(packet.flow.saddr) === 6 ? [REFUSING_ROUTE] : []),
          // What moved for those that arrived with it is not told apart for certain.
          ...(mib.mixed > 0 ? [OF_OTHERS] : []),
        ],
        client: packet.flow.saddr,
        mixed: mib.mixed > 0,
        netns: event.netns,
      },
      basis: 'inferred',
      flow: packet.flow,
    };
  },
  summary({ listener, listeners, listener_known, client, one_of }) {
    const which = whichListener(listeners, listener_known);
    return `SYN from ${client} refused by ${listener}${which} for one of: ${one_of.join('; ')}`;
  },
  advice(evidence, { saddr, daddr, dport }) {
    const { netns } = evidence;
    const six = familyOf(daddr) === 6;
    const ip = six ? 'ip -6' : 'ip';
    return [
      "a security module says so: `journalctl -k --grep 'avc.*denied|smack'` and programs of the BPF LSM: `bpftool prog show | grep -w lsm`",
      "memory: `journalctl -k --grep 'page allocation failure|SLUB: Unable'`",
      `is ${daddr} this host’s own? \`${inNetns(netns, `${ip} route get ${daddr}`)}\` says broadcast or multicast where it is not`,
      ...(six
        ? [
            `the way back to ${saddr}: an error is the answer that the kernel got: \`${inNetns(netns, `${ip} route get ${saddr} from ${daddr}`)}\``,
          ]
        : []),
      `keys of TCP-AO: \`${inNetns(netns, "nstat -az 'TcpExtTCPAO*'")}\``,
      ...sharedAdvice(evidence, dport),
    ];
  },
});
