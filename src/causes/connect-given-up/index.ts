// SPDX-License-Identifier: Apache-2.0

import { local, remote } from '../../tcp/endpoint.ts';
import { reversed } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { redirected, redirectedAdvice, redirectText } from '../shared/conntrack.ts';
import {
  choseLoopback,
  sourceIsLoopback,
  sourceIsLoopbackText,
  sourceMissing,
  sourceMissingAdvice,
  sourceMissingText,
} from '../shared/denied.ts';
import { dialledBy, dialledByAdvice } from '../shared/dialled-by.ts';
import { pathError } from '../shared/neighbours.ts';
import { exitText, ownerOf } from '../shared/processes.ts';
import { FIRST_RETRY_MS, waited } from '../shared/silence.ts';
import { endedBy, unreachableAdvice } from '../shared/unreachable.ts';
import { seconds, word } from '../shared/wording.ts';

/** Who gives up sooner had not waited for an answer: it took another address, or was ended. */
const SHORTEST_MS = 200;

export default defineCause({
  id: 'connect-given-up',
  title: 'the program gave a connect up that nobody had answered',
  severity: 'warning',
  explains:
    'A program of this host closed its socket, by its own timeout or because it ended, while its SYNs were unanswered.',
  seenAs: ['connect-hangs'],
  needs: ['state'],
  on: ['state_change'],
  supersedes: ['syn-resent'],
  match(event, known) {
    if (event.kind !== 'state_change') return null;
    const { old_state, new_state, sock, connect, icmp } = event.body;
    if (old_state !== TCP_STATE.SYN_SENT || new_state !== TCP_STATE.CLOSE) return null;
    // Without a port no SYN was sent.
    if (sock.err !== 0 || sock.flow.sport === 0 || endedBy(icmp, sock.err)) return null;
    const waited_ms = waited(sock);
    if (sock.retransmits === 0 && (waited_ms ?? 0) < SHORTEST_MS) return null;
    // So do programs that dial several addresses at once, with those that lose.
    const soon = sock.retransmits === 0 && (waited_ms ?? 0) < FIRST_RETRY_MS;
    const { daddr, dport } = sock.flow;
    const redirect = known.redirect(sock.flow, event.ktime_ns)?.answer;
    return {
      evidence: {
        dialled: remote(sock.flow),
        from: local(sock.flow),
        ...(redirect && redirected(redirect, event.netns)),
        ...(!redirect && sourceIsLoopback(sock.flow)),
        ...(!redirect && sourceMissing(event, known)),
        ...(!redirect && dialledBy(event, sock.owner, known)),
        syns_sent: sock.retransmits + 1,
        waited_ms,
        process_end: connect?.process_ends ? exitText(connect.exit_status) : null,
        ...(soon && { before_second_syn: true }),
        path_error: pathError(event, known),
      },
      basis: 'direct',
      subject: 'flow',
      where: remote(sock.flow),
      flow: sock.flow,
      ...(redirect && { related: [{ ...reversed(redirect), service: sock.flow.service }] }),
      group: `${event.netns} ${daddr} ${dport} ${connect?.process_ends ?? 0}${soon ? ' soon' : ''}`,
      owner: ownerOf(sock.owner),
      ...(soon && { severity: 'info' as const }),
      ...(waited_ms !== null && { began_ns: event.ktime_ns - waited_ms * 1e6 }),
    };
  },
  summary(evidence, { saddr }) {
    const { dialled, from, syns_sent, waited_ms, process_end, path_error: why } = evidence;
    const syns = syns_sent === 1 ? 'the SYN' : `${syns_sent} SYNs`;
    const after = waited_ms === null ? '' : ` after ${seconds(waited_ms)}`;
    const who = process_end === null ? 'the program gave up' : `its process ended (${process_end})`;
    const { where, source } = redirectText(dialled, from, evidence);
    const loopback = evidence.source_is_loopback ? sourceIsLoopbackText(saddr) : '';
    const missing = evidence.source_missing ? sourceMissingText(saddr) : '';
    return `${where} did not answer ${syns}, and ${who}${after}${source}${loopback}${missing}${why === null ? '' : `: ${why}`}`;
  },
  advice(evidence, flow) {
    const { dialled, from, waited_ms, process_end, path_error: why, before_second_syn } = evidence;
    const { saddr, daddr, dport } = flow;
    const limit =
      process_end === null
        ? before_second_syn && waited_ms !== null
          ? `${from}: the limit of ${seconds(waited_ms)} is the program’s own, and is over before the kernel sends a SYN again (after 1 s): one that is lost, or answered late, is a failure. Let it wait longer than 1 s`
          : `${from}: the limit${waited_ms === null ? '' : ` of ${seconds(waited_ms)}`} is the program’s own (a connect timeout): a longer one helps only where ${dialled} answers late`
        : `${from}: its process ended (${process_end}) while it waited: look there only if it should not have`;
    const lines = redirectedAdvice(dialled, from, daddr, evidence);
    if (lines) return [...lines, limit];
    const raced = before_second_syn
      ? [
          `does the program dial several addresses at once (IPv6 and IPv4: happy eyeballs), and take the one that answers first? Then it works, but ${daddr} does not: \`ss -tnp 'dport = :${dport}'\``,
        ]
      : [];
    return [
      ...raced,
      ...dialledByAdvice(dialled, evidence),
      ...(evidence.source_missing ? sourceMissingAdvice(saddr) : []),
      ...unreachableAdvice(why, flow),
      ...(evidence.source_is_loopback
        ? [choseLoopback(flow)]
        : [
            `do the SYNs arrive? On ${daddr}: \`tcpwhy trace ${word(dialled)}\` or \`tcpdump -ni any tcp port ${dport} and host ${saddr}\``,
            `none arrives: a rule or a route on the way loses them. Here: \`ip route get ${daddr}\``,
            limit,
          ]),
    ];
  },
});
