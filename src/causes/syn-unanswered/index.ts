// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import type { Unanswered } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import {
  AT_RECEIVER,
  byCounters,
  type Candidate,
  DROPPED_SOMEWHERE,
  DROPPED_THERE,
  ids,
  movedText,
} from '../shared/candidates.ts';
import { listEntries } from '../shared/conntrack.ts';
import { seconds, word } from '../shared/wording.ts';

/** Where it was captured. */
const TAKEN_AT = [null, 'the end that dialled', 'the end that was dialled'] as const;

/** Where the SYN was captured at the host that it was sent to, the likeliest first. */
const THERE: readonly Candidate[] = [
  DROPPED_THERE,
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
  {
    cause: 'md5-mismatch',
    decides: ({ daddr }) =>
      `only one end has a key of TCP-MD5, or they have different ones: on ${daddr} these grow: \`nstat -az TcpExtTCPMD5NotFound TcpExtTCPMD5Unexpected TcpExtTCPMD5Failure\``,
  },
];

/** Where it was captured at the host that sent it. */
const HERE: readonly Candidate[] = [
  DROPPED_SOMEWHERE,
  {
    cause: 'neighbour-failed',
    decides: ({ daddr }) =>
      `${daddr} is not there, or its last hop does not reach it: \`ping -c 3 ${daddr}\` and \`tracepath -n ${daddr}\``,
  },
  {
    cause: 'accept-queue-full',
    also: ['syn-queue-full', 'paws-passive', 'no-route-back', 'md5-mismatch'],
    decides: (flow) =>
      `it arrives, and ${remote(flow)} refuses it without an answer (a full queue, a timestamp, the way back, an MD5 key). There: \`tcpwhy trace ${word(remote(flow))}\` or \`nstat -az TcpExtListenDrops TcpExtListenOverflows TcpExtPAWSPassive TcpExtTCPReqQFullDrop TcpExtTCPMD5NotFound\``,
  },
  {
    cause: 'no-route',
    decides: ({ saddr }) =>
      `its source is no address of this host any more (DHCP lease, VPN, failover), so that the answers go elsewhere: \`ip addr show to ${saddr}\``,
  },
  {
    cause: 'conntrack-stale',
    decides: ({ saddr, daddr }) =>
      `a rule or an entry of NAT sends it to where nobody is: \`${listEntries(saddr, `-s ${saddr} -d ${daddr}`)}\``,
  },
];

export default defineCause({
  id: 'syn-unanswered',
  title: 'a SYN without an answer in the capture',
  severity: 'warning',
  explains:
    'In a capture a SYN was sent again and again and nothing answered it. Packets do not tell why: the finding has what may be, and how to decide.',
  seenAs: ['connect-hangs'],
  packets: true,
  symptom: true,
  needs: [],
  on: ['unanswered'],
  match(event, known) {
    if (event.kind !== 'unanswered') return null;
    const { flow, syns, waited_ms, taken_at, heard, answered, older_stamp } = event.body;
    if (syns === 0) return null;
    return {
      evidence: {
        dialled: remote(flow),
        from: local(flow),
        syns_sent: syns,
        waited_ms,
        taken_at: TAKEN_AT[taken_at] ?? null,
        heard_of_it: heard === 1,
        others_answered: answered,
        older_stamp: older_stamp === 1 || null,
        candidates: ids(candidatesOf(event.body, known)),
        moved: taken_at === AT_RECEIVER ? movedText(THERE, known) : [],
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
  summary({
    dialled,
    from,
    syns_sent,
    waited_ms,
    heard_of_it,
    others_answered,
    older_stamp,
    moved,
  }) {
    const others =
      others_answered > 0
        ? `; ${others_answered} other connects to it were answered meanwhile`
        : heard_of_it
          ? ''
          : ', nor any other packet of that host';
    const older = older_stamp
      ? '; its timestamp is older than the last of another connection of its address'
      : '';
    return `${from} sent ${syns_sent} SYNs to ${dialled} in ${seconds(waited_ms)}, and no answer is in the capture${others}${older}${moved.length > 0 ? `; meanwhile there grew ${moved.join(', ')}` : ''}`;
  },
  advice({ heard_of_it, taken_at, candidates }, flow) {
    const all = taken_at === TAKEN_AT[AT_RECEIVER] ? THERE : HERE;
    const those = candidates.flatMap((id) => all.filter(({ cause }) => cause === id));
    const one_sided = heard_of_it
      ? []
      : [
          `the capture has no packet of ${flow.daddr}: was it taken of one direction only? \`tcpdump -ni any host ${flow.daddr}\` has both`,
        ];
    return [...one_sided, ...those.map(({ decides }) => decides(flow))];
  },
});

/** Where it is older than the last stamp of its address, that may be why. */
function candidatesOf(
  { taken_at, older_stamp }: Unanswered,
  known: Knowledge,
): readonly Candidate[] {
  if (taken_at !== AT_RECEIVER) return HERE;
  const those = byCounters(THERE, known);
  const older = those.filter(({ cause }) => older_stamp === 1 && cause === 'paws-passive');
  return [...older, ...those.filter((one) => !older.includes(one))];
}
