// SPDX-License-Identifier: Apache-2.0

import { local, remote } from '../../tcp/endpoint.ts';
import { reversed } from '../../tcp/service.ts';
import { defineCause } from '../define.ts';
import { redirected, redirectedAdvice, redirectText } from '../shared/conntrack.ts';
import { choseLoopback, sourceIsLoopback, sourceIsLoopbackText } from '../shared/denied.ts';
import { ownerOf } from '../shared/processes.ts';
import { FIRST_RETRY_MS } from '../shared/silence.ts';
import { seconds, word } from '../shared/wording.ts';

export default defineCause({
  id: 'syn-resent',
  title: 'a SYN was not answered at once, and sent again',
  severity: 'info',
  explains:
    'A connect of this host takes 1 s, 3 s or 7 s longer: its SYN or the answer was lost, and the SYN was sent again.',
  seenAs: ['connect-late', 'slow'],
  needs: ['retransmit'],
  on: ['retransmit'],
  gives_way: true,
  match(event, known) {
    const resent = event.kind === 'retransmit' ? known.resentSyn(event) : null;
    if (event.kind !== 'retransmit' || !resent) return null;
    const { sock } = event.body;
    const { daddr, dport } = sock.flow;
    const { opens, since_first_ms } = resent;
    const redirect = known.redirect(sock.flow, event.ktime_ns)?.answer;
    return {
      evidence: {
        dialled: remote(sock.flow),
        from: local(sock.flow),
        ...(redirect && redirected(redirect, event.netns)),
        ...(!redirect && sourceIsLoopback(sock.flow)),
        syns_sent: sock.retransmits + 1,
        waited_ms: since_first_ms === null ? null : FIRST_RETRY_MS + since_first_ms,
      },
      basis: 'direct',
      subject: 'flow',
      where: remote(sock.flow),
      flow: sock.flow,
      ...(redirect && { related: [{ ...reversed(redirect), service: sock.flow.service }] }),
      group: `${event.netns} ${daddr} ${dport}`,
      owner: ownerOf(sock.owner),
      goes_on: true,
      ...(!opens && { again: true as const }),
    };
  },
  summary(evidence, { saddr }) {
    const { dialled, from, syns_sent, waited_ms, source_is_loopback } = evidence;
    const { where, source } = redirectText(dialled, from, evidence);
    const never = evidence.source_stays ? '' : NOT_YET;
    const syns = syns_sent === 2 ? 'the SYN' : `${syns_sent - 1} SYNs`;
    const time = waited_ms === null ? '' : ` within ${seconds(waited_ms)}`;
    return `${where} did not answer ${syns}${time}${source}${source_is_loopback ? sourceIsLoopbackText(saddr) : never}`;
  },
  advice(evidence, { saddr, daddr, dport }) {
    const { dialled, from, source_is_loopback, source_stays } = evidence;
    if (source_is_loopback) return [choseLoopback({ saddr, daddr })];
    const lines = source_stays ? redirectedAdvice(dialled, from, daddr, evidence) : null;
    if (lines) return lines;
    return [
      `lost is the SYN or its answer, by a queue that is full at times, or on the way. Which: on ${daddr} while it happens: \`tcpwhy trace ${word(dialled)}\` Or what has grown there: \`nstat -az TcpExtListenOverflows TcpExtListenDrops TcpExtTCPReqQFullDrop TcpExtPAWSPassive\``,
      `nothing there: does each SYN arrive, and each SYN-ACK here? On both: \`tcpdump -ni any host ${daddr} and tcp port ${dport}\` Between: losses of a link (\`ip -s link\`), NAT that finds no port or a full table (\`conntrack -S\`), a limit of SYNs a second`,
      `it is at most a second for each connect, so long as the next SYN is answered: ${from} avoids it by connecting less often (a pool, keep-alive). A connect timeout of its program below 1 s makes a failure of each lost SYN`,
      ...(evidence.syns_sent === 2
        ? [
            `each connect of this host, and always answered the second time? Only the first SYN asks for ECN, which boxes on the way may drop: \`sysctl net.ipv4.tcp_ecn\` in the namespace of ${saddr}: 1 asks for it; 2, the default, does not`,
          ]
        : []),
      `how often, of all connects: \`nstat -az TcpExtTCPSynRetrans TcpActiveOpens\` in the namespace of ${saddr}. None succeeds: then they end as a connect that timed out, which has a finding of its own`,
    ];
  },
});

const NOT_YET = ': it was sent again, and the connect takes that much longer, if it succeeds';
