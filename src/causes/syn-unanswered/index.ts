// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import type { Flow, Unanswered } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { listEntries } from '../shared/conntrack.ts';
import { seconds, word } from '../shared/wording.ts';

/** What may be why, with the command that decides it. */
interface Candidate {
  cause: string;
  decides(flow: Flow): string;
}

const [AT_CLIENT, AT_SERVER] = [1, 2];

/** Where the SYN was captured at the host that it was sent to, the likeliest first. */
const THERE: readonly Candidate[] = [
  {
    cause: 'netfilter-drop',
    decides: ({ daddr }) =>
      `a rule of ${daddr} drops it: \`nft list ruleset | grep -nE 'drop|policy drop'\` or \`iptables-save -c | grep -i drop\``,
  },
  {
    cause: 'accept-queue-full',
    decides: ({ daddr, dport }) =>
      `its process does not accept: on ${daddr} Recv-Q is above Send-Q: \`ss -ltn 'sport = :${dport}'\` and this grows: \`nstat -az TcpExtListenOverflows\``,
  },
  {
    cause: 'syn-queue-full',
    decides: ({ daddr }) =>
      `too many half-open connections: on ${daddr} this grows: \`nstat -az TcpExtTCPReqQFullDrop\``,
  },
  {
    cause: 'rp-filter',
    decides: ({ saddr, daddr }) =>
      `the way back leads elsewhere, or nowhere: on ${daddr}: \`ip route get ${saddr}\` and \`nstat -az TcpExtIPReversePathFilter\``,
  },
  {
    cause: 'paws-passive',
    decides: ({ daddr }) =>
      `its timestamp is older than another’s behind the same address (tcp_tw_recycle, before Linux 4.12): on ${daddr} this grows: \`nstat -az TcpExtPAWSPassive\``,
  },
  {
    cause: 'conntrack-full',
    decides: ({ daddr }) =>
      `the table of connection tracking is full: on ${daddr}: \`journalctl -k | grep 'table full'\` and \`conntrack -S\``,
  },
  {
    cause: 'not-our-address',
    decides: ({ daddr }) =>
      `the host that captured it does not have the address, or sends it on: \`ip addr show to ${daddr}\` and \`ip route get ${daddr}\``,
  },
];

/** Where it was captured at the host that sent it. */
const HERE: readonly Candidate[] = [
  {
    cause: 'netfilter-drop',
    decides: (flow) =>
      `a firewall on the way or at ${flow.daddr} drops it without a word. Does it arrive? There: \`tcpdump -ni any tcp port ${flow.dport} and host ${flow.saddr}\``,
  },
  {
    cause: 'neighbour-failed',
    decides: ({ daddr }) =>
      `${daddr} is not there, or its last hop does not reach it: \`ping -c 3 ${daddr}\` and \`tracepath -n ${daddr}\``,
  },
  {
    cause: 'accept-queue-full',
    decides: (flow) =>
      `it arrives, and ${remote(flow)} refuses it without an answer (a full queue, a timestamp, the way back). There: \`tcpwhy trace ${word(remote(flow))}\` or \`nstat -az TcpExtListenDrops TcpExtListenOverflows TcpExtPAWSPassive TcpExtTCPReqQFullDrop\``,
  },
  {
    cause: 'conntrack-stale',
    decides: ({ saddr, daddr }) =>
      `an entry of NAT sends it to where nobody is: \`${listEntries(saddr, `-s ${saddr} -d ${daddr}`)}\``,
  },
];

export default defineCause({
  id: 'syn-unanswered',
  title: 'a SYN without an answer in the capture',
  severity: 'warning',
  explains:
    'In a capture a SYN was sent again and again and nothing answered it. Packets do not tell why: the finding has what may be, and how to decide.',
  seenAs: ['connect-hangs'],
  needs: [],
  on: ['unanswered'],
  match(event, known) {
    if (event.kind !== 'unanswered') return null;
    const { flow, syns, waited_ms, taken_at, heard, answered } = event.body;
    return {
      evidence: {
        dialled: remote(flow),
        from: local(flow),
        syns_sent: syns,
        waited_ms,
        taken_at:
          taken_at === AT_CLIENT
            ? 'the end that dialled'
            : taken_at === AT_SERVER
              ? 'the end that was dialled'
              : null,
        heard_of_it: heard === 1,
        others_answered: answered,
        candidates: candidatesOf(event.body, known).map(({ cause }) => cause),
        moved: taken_at === AT_SERVER ? movedText(known) : [],
      },
      basis: 'inferred',
      subject: 'flow',
      where: remote(flow),
      flow,
      group: `${event.netns} ${flow.daddr} ${flow.dport} ${taken_at}`,
      owner: null,
      began_ns: event.ktime_ns - waited_ms * 1e6,
    };
  },
  summary({ dialled, from, syns_sent, waited_ms, heard_of_it, others_answered, moved }) {
    const others =
      others_answered > 0
        ? `; ${others_answered} other connects to it were answered meanwhile`
        : heard_of_it
          ? ''
          : ', nor any other packet of that host';
    return `${from} sent ${syns_sent} SYNs to ${dialled} in ${seconds(waited_ms)}, and no answer is in the capture${others}${moved.length > 0 ? `; meanwhile there grew ${moved.join(', ')}` : ''}`;
  },
  advice({ heard_of_it, taken_at, candidates }, flow) {
    const all = taken_at === 'the end that was dialled' ? THERE : HERE;
    const those = all.filter(({ cause }) => candidates.includes(cause));
    const one_sided = heard_of_it
      ? []
      : [
          `the capture has no packet of ${flow.daddr}: was it taken of one direction only? \`tcpdump -ni any host ${flow.daddr}\` has both`,
        ];
    return [...one_sided, ...those.map(({ decides }) => decides(flow))];
  },
});

/**
 * Of those there, first what counters or a log of that host say, then what they do not tell of; and not what they
 * rule out. They are of all ports: what moved may have been for another one.
 */
function candidatesOf({ taken_at }: Unanswered, known: Knowledge): readonly Candidate[] {
  if (taken_at !== AT_SERVER) return HERE;
  const countOf = ({ cause }: Candidate) =>
    known.toldOf(cause).reduce((sum, { count }) => sum + count, 0);
  const moved = THERE.filter((one) => countOf(one) > 0);
  return [...moved, ...THERE.filter(({ cause }) => known.toldOf(cause).length === 0)];
}

/** `TcpExt.ListenOverflows 7`. */
function movedText(known: Knowledge): string[] {
  return THERE.flatMap(({ cause }) => known.toldOf(cause))
    .filter(({ count }) => count > 0)
    .map(({ by, count }) => `${by} ${count}`);
}
