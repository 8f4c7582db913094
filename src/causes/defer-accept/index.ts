// SPDX-License-Identifier: Apache-2.0

import { deferralSeconds } from '../../tcp/deferral.ts';
import { STALL } from '../../tcp/stall.ts';
import { defineCause } from '../define.ts';
import { halfOpen } from '../shared/half-open.ts';
import { seconds } from '../shared/wording.ts';

export default defineCause({
  id: 'defer-accept',
  title: 'it waited for data that never came (TCP_DEFER_ACCEPT)',
  severity: 'warning',
  explains:
    'A client connected and sent nothing: a listener with TCP_DEFER_ACCEPT does not tell its process of it, waits, and forgets it, while the client believes to be connected.',
  seenAs: ['first-request-fails'],
  needs: ['stalled'],
  on: ['retransmit'],
  leadsTo: ['request-expired'],
  match(event, known) {
    if (event.kind !== 'retransmit') return null;
    const { stall } = event.body;
    if (stall?.what !== STALL.acknowledged || stall.defer_accept === 0) return null;
    const match = halfOpen(event, stall, known);
    const tcp_defer_accept_s = deferralSeconds(stall.defer_accept);
    return { ...match, evidence: { ...match.evidence, tcp_defer_accept_s } };
  },
  summary({ listener, client, waited_ms, tcp_defer_accept_s }) {
    return `${client} completed its handshake with ${listener} and sent nothing in ${seconds(waited_ms)}: the listener takes connections only with data (TCP_DEFER_ACCEPT, ${tcp_defer_accept_s} s), and has forgotten this one`;
  },
  advice({ listener, client }, { sport, daddr }) {
    return [
      `does the client wait for the server to speak first (a greeting, as of SMTP, MySQL, SSH)? Then ${listener} must do without TCP_DEFER_ACCEPT (nginx: deferred, Apache: AcceptFilter, HAProxy: defer-accept)`,
      `or is ${client} gone? When the time was over it was sent the SYN-ACK again, and did not answer. Does it get it? There: \`tcpdump -ni any tcp port ${sport}\` and the way back: \`ip route get ${daddr}\``,
      `how many wait now: \`ss -tn state syn-recv 'sport = :${sport}'\` What such a client sends later is reset`,
    ];
  },
});
