// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { isLastQuarter, refusedWithoutReason } from '../shared/listen-drops.ts';
import { refusedAt, sharedAdvice, whichListener } from '../shared/listeners.ts';
import { SILENCE } from '../shared/silence.ts';

export default defineCause({
  id: 'syn-unproven-peer',
  title: 'the rest of tcp_max_syn_backlog is kept for known peers',
  severity: 'error',
  explains:
    'SYN cookies are off, and three quarters of tcp_max_syn_backlog are taken by half-open connections: the rest is for peers that this host has had connections with, other SYNs are refused.',
  seenAs: ['connect-hangs', 'connect-late'],
  needs: ['syn_fate'],
  on: ['syn_received'],
  supersedes: ['syn-dropped-one-of'],
  leadsTo: SILENCE,
  match(event, known) {
    const refused = refusedWithoutReason(event);
    if (!refused || !isLastQuarter(refused)) return null;
    const { packet, listener, limits, one_of } = refused;
    const { evidence, ...at } = refusedAt(event.netns, packet, listener, one_of, known);
    return {
      ...at,
      evidence: {
        ...evidence,
        syn_queue: listener?.syn_queue ?? null,
        tcp_max_syn_backlog: limits?.syn_backlog_max ?? null,
        tcp_syncookies: limits?.syncookies ?? null,
        client: packet.flow.saddr,
      },
      basis: 'inferred',
      flow: packet.flow,
    };
  },
  summary({ listener, listeners, listener_known, syn_queue, tcp_max_syn_backlog, client }) {
    const which = whichListener(listeners, listener_known);
    return `SYN from ${client} refused by ${listener}${which}: ${syn_queue} half-open connections, and the last quarter of tcp_max_syn_backlog (${tcp_max_syn_backlog}) is kept for peers that are known here`;
  },
  advice(evidence, { dport }) {
    const { listener, tcp_max_syn_backlog } = evidence;
    return [
      `${listener}: who are the half-open ones? \`ss -tn state syn-recv 'sport = :${dport}'\``,
      ...sharedAdvice(evidence, dport),
      'answer with cookies instead of dropping, in the listener’s namespace: `sysctl -w net.ipv4.tcp_syncookies=1` Then this limit does not hold',
      `or allow more there (now ${tcp_max_syn_backlog}): \`sysctl -w net.ipv4.tcp_max_syn_backlog=4096\``,
      'which peers are known (with an rtt): `ip tcp_metrics show`',
    ];
  },
});
