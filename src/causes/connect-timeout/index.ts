// SPDX-License-Identifier: Apache-2.0

import { local, remote } from '../../tcp/endpoint.ts';
import { ERRNO, errnoName } from '../../tcp/errno.ts';
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
import { ownerOf } from '../shared/processes.ts';
import { waited } from '../shared/silence.ts';
import { JOINS, joinAdvice, joins } from '../shared/subflows.ts';
import { endedBy, endedInSilence, unreachableAdvice } from '../shared/unreachable.ts';
import { seconds, word } from '../shared/wording.ts';

export default defineCause({
  id: 'connect-timeout',
  title: 'a connect was never answered',
  severity: 'warning',
  explains:
    'A connect from this host ended with ETIMEDOUT: every SYN was sent again and none was answered.',
  seenAs: ['connect-hangs'],
  needs: ['state'],
  on: ['state_change'],
  supersedes: ['syn-resent'],
  match(event, known) {
    if (event.kind !== 'state_change') return null;
    const { old_state, new_state, sock, icmp } = event.body;
    if (old_state !== TCP_STATE.SYN_SENT || new_state !== TCP_STATE.CLOSE) return null;
    // A reset refuses a connect with the errno that an ICMP error may have too.
    if (!endedInSilence(sock.err) || sock.err === ERRNO.ECONNREFUSED) return null;
    if (endedBy(icmp, sock.err)) return null;
    const { daddr, dport } = sock.flow;
    const waited_ms = waited(sock);
    const join = joins(sock);
    const redirect = known.redirect(sock.flow, event.ktime_ns)?.answer;
    return {
      evidence: {
        dialled: remote(sock.flow),
        from: local(sock.flow),
        ...(redirect && redirected(redirect, event.netns)),
        ...(!redirect && sourceIsLoopback(sock.flow)),
        ...(join && { join }),
        ...(!redirect && sourceMissing(event, known)),
        ...(!redirect && !join && dialledBy(event, sock.owner, known)),
        syns_sent: sock.retransmits + 1,
        waited_ms,
        user_timeout_ms: sock.user_timeout_ms || null,
        error: errnoName(sock.err),
        path_error: pathError(event, known),
        tcp_syn_retries: known.sysctl('net/ipv4/tcp_syn_retries', event.netns),
      },
      basis: 'direct',
      subject: 'flow',
      where: remote(sock.flow),
      flow: sock.flow,
      ...(redirect && { related: [{ ...reversed(redirect), service: sock.flow.service }] }),
      group: `${event.netns} ${daddr} ${dport}${join ? ' join' : ''}`,
      owner: join ? null : ownerOf(sock.owner),
      ...(join && { severity: 'info' as const }),
      ...(waited_ms !== null && { began_ns: event.ktime_ns - waited_ms * 1e6 }),
    };
  },
  summary(evidence, { saddr }) {
    const { dialled, from, syns_sent, waited_ms, path_error: why, source_is_loopback } = evidence;
    const syns = syns_sent === 1 ? 'the SYN' : `${syns_sent} SYNs`;
    const { where, source } = redirectText(dialled, from, evidence);
    const loopback = source_is_loopback ? sourceIsLoopbackText(saddr) : '';
    const missing = evidence.source_missing ? sourceMissingText(saddr) : '';
    return `${where} did not answer ${syns}${waited_ms === null ? '' : ` in ${seconds(waited_ms)}`}${source}${loopback}${missing}${why === null ? '' : `: ${why}`}${evidence.join ? `.${JOINS}` : ''}`;
  },
  advice(evidence, flow) {
    const { dialled, from, user_timeout_ms, path_error: why, source_is_loopback } = evidence;
    const { saddr, daddr, dport } = flow;
    const limit =
      user_timeout_ms === null
        ? 'net.ipv4.tcp_syn_retries in its namespace says how often a SYN is sent again'
        : `the socket’s TCP_USER_TIMEOUT of ${user_timeout_ms} ms set the limit`;
    const lines = redirectedAdvice(dialled, from, daddr, evidence);
    if (lines) return [...lines, `${from} gave up: ${limit}`];
    return [
      ...(evidence.join ? [joinAdvice(flow)] : []),
      ...dialledByAdvice(dialled, evidence),
      ...(evidence.source_missing ? sourceMissingAdvice(saddr) : []),
      ...unreachableAdvice(why, flow),
      ...(source_is_loopback
        ? [choseLoopback(flow)]
        : [
            `do the SYNs arrive? On ${daddr}: \`tcpwhy trace ${word(dialled)}\` or \`tcpdump -ni any tcp port ${dport} and host ${saddr}\``,
            `none arrives: a rule or a route on the way loses them. Here: \`ip route get ${daddr}\` On each hop: \`nft list ruleset | grep -nE 'drop|reject'\``,
            `they arrive and are answered: the answer is lost. On ${daddr}: \`ip route get ${saddr}\``,
          ]),
      `${from} gave up: ${limit}`,
    ];
  },
});
