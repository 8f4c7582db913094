// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { refusedAt, sharedAdvice, whichListener } from '../shared/listeners.ts';

/** Of net.ipv4.tcp_syncookies. */
const ALWAYS = 2;

export default defineCause({
  id: 'syn-cookies',
  title: 'answered with SYN cookies',
  severity: 'info',
  explains:
    'A listener has as many half-open connections as it may (or tcp_syncookies is 2) and answers new SYNs with cookies: they work, without some options.',
  seenAs: ['slow'],
  needs: ['syn_fate'],
  on: ['syn_received'],
  match(event, known) {
    if (event.kind !== 'syn_received') return null;
    const { packet, listener, mib, one_of, limits } = event.body;
    if (mib.tcp_req_q_full_do_cookies === 0 || mib.syncookies_sent === 0 || mib.listen_drops > 0)
      return null;
    const { evidence, ...at } = refusedAt(event.netns, packet, listener, one_of, known);
    return {
      ...at,
      evidence: {
        ...evidence,
        syn_queue: listener?.syn_queue ?? null,
        syn_queue_max: listener?.accept_queue_max ?? null,
        tcp_syncookies: limits?.syncookies ?? null,
        client_timestamps: packet.has_timestamps === 1,
        client: packet.flow.saddr,
      },
      basis: mib.mixed || one_of > 0 ? 'inferred' : 'direct',
      flow: packet.flow,
    };
  },
  summary({ listener, listeners, listener_known, syn_queue, syn_queue_max, tcp_syncookies }) {
    const which = whichListener(listeners, listener_known);
    if (tcp_syncookies === ALWAYS)
      return `${listener}${which} answers with SYN cookies, as it always does: net.ipv4.tcp_syncookies is 2`;
    const queue =
      syn_queue === null
        ? ''
        : `: ${syn_queue} half-open connections where ${syn_queue_max} may be`;
    return `${listener}${which} answers with SYN cookies${queue}`;
  },
  advice(evidence, { dport }) {
    const { listener, client_timestamps, tcp_syncookies } = evidence;
    const lost = client_timestamps
      ? []
      : [
          'clients without timestamps lose window scaling and SACK on such connections. There: `sysctl net.ipv4.tcp_timestamps`',
        ];
    if (tcp_syncookies === ALWAYS)
      return [
        'it is meant for tests: cookies only where a queue is full, in the listener’s namespace: `sysctl -w net.ipv4.tcp_syncookies=1`',
        ...lost,
      ];
    return [
      `${listener}: a SYN flood, or clients that never finish? \`ss -tn state syn-recv 'sport = :${dport}'\``,
      ...sharedAdvice(evidence, dport),
      'if these are real clients in a burst, raise the backlog in listen(); net.core.somaxconn in its namespace is the most that counts',
      ...lost,
    ];
  },
});
