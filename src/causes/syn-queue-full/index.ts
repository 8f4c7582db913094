// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { refusedAt, sharedAdvice, whichListener } from '../shared/listeners.ts';
import { SILENCE } from '../shared/silence.ts';

export default defineCause({
  id: 'syn-queue-full',
  title: 'too many half-open connections, and SYN cookies are off',
  severity: 'error',
  explains:
    'A listener has as many half-open connections as it may and SYN cookies are off, so new SYNs are refused.',
  seenAs: ['connect-hangs', 'connect-late'],
  needs: ['syn_fate'],
  on: ['syn_received'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'syn_received' || event.body.mib.tcp_req_q_full_drop === 0) return null;
    const { packet, listener, mib, one_of } = event.body;
    const { evidence, ...at } = refusedAt(event.netns, packet, listener, one_of, known);
    return {
      ...at,
      evidence: {
        ...evidence,
        syn_queue: listener?.syn_queue ?? null,
        syn_queue_max: listener?.accept_queue_max ?? null,
        tcp_syncookies: known.sysctl('net/ipv4/tcp_syncookies', event.netns),
        client: packet.flow.saddr,
      },
      basis: mib.mixed || one_of > 0 ? 'inferred' : 'direct',
      flow: packet.flow,
    };
  },
  summary({ listener, listeners, listener_known, syn_queue, syn_queue_max, client }) {
    const queue =
      syn_queue === null
        ? ''
        : `: ${syn_queue} half-open connections where ${syn_queue_max} may be`;
    return `SYN from ${client} refused by ${listener}${whichListener(listeners, listener_known)}${queue}`;
  },
  advice(evidence, { dport }) {
    const { listener } = evidence;
    return [
      `${listener}: who are the half-open ones? \`ss -tn state syn-recv 'sport = :${dport}'\``,
      ...sharedAdvice(evidence, dport),
      'answer with cookies instead of dropping, in the listener’s namespace: `sysctl -w net.ipv4.tcp_syncookies=1`',
      'or allow more: a larger backlog in listen(); net.core.somaxconn in its namespace is the most that counts',
    ];
  },
});
