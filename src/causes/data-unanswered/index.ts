// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { bracketed } from '../../tcp/address.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { service } from '../../tcp/service.ts';
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
import { byPeer } from '../shared/groups.ts';
import { seconds, word } from '../shared/wording.ts';

/** Where it was captured. */
const TAKEN_AT = [null, 'the end that sent', 'the end that it was sent to'] as const;

/** What stands between forgets connections that are idle for so long. */
const IDLE_MS = 60_000;

const TOO_LONG: Candidate = {
  cause: 'mtu-black-hole',
  decides: ({ daddr }) =>
    `nothing as long as this was acknowledged: a link on the way takes less, and its ICMP message does not arrive: \`tracepath -n ${daddr}\``,
};

const FORGOTTEN: Candidate = {
  cause: 'conntrack-invalid',
  decides: ({ saddr, daddr }) =>
    `a firewall, NAT or balancer on the way has forgotten the connection and drops what belongs to none: on each Linux hop \`${listEntries(saddr, `-s ${saddr} -d ${daddr}`)}\``,
};

const gone = (cause: string): Candidate => ({
  cause,
  decides: ({ saddr, daddr }) =>
    `${daddr} is gone, or the way to it: \`ping -c 3 ${daddr}\` On it: \`ss -tn dst ${word(bracketed(saddr))}\``,
});

/** Where it was captured at the end that it was sent to: it arrived, the likeliest first. */
const THERE: readonly Candidate[] = [
  DROPPED_THERE,
  {
    cause: 'conntrack-invalid',
    decides: ({ saddr, daddr }) =>
      `${daddr} drops what its connection tracking does not know: \`nft list ruleset | grep -n invalid\` and \`${listEntries(saddr, `-s ${saddr} -d ${daddr}`)}\``,
  },
  {
    cause: 'no-route',
    decides: ({ saddr, daddr }) =>
      `it is answered, and the answer goes elsewhere or nowhere: on ${daddr}: \`ip route get ${saddr}\``,
  },
  {
    cause: 'rp-filter',
    decides: ({ daddr }) =>
      `it comes in by another device than its answers leave by: on ${daddr} this grows: \`nstat -az TcpExtIPReversePathFilter\``,
  },
  {
    cause: 'bad-checksum',
    decides: ({ daddr }) =>
      `it is damaged on the way: on ${daddr} this grows: \`nstat -az TcpInCsumErrors\``,
  },
  {
    cause: 'paws-established',
    decides: ({ daddr }) =>
      `its timestamp is older than the last one: on ${daddr} this grows: \`nstat -az TcpExtPAWSEstab\``,
  },
  {
    cause: 'socket-backlog-full',
    decides: ({ daddr }) =>
      `its socket takes no more: on ${daddr} these grow: \`nstat -az TcpExtTCPBacklogDrop TcpExtTCPRcvQDrop\``,
  },
];

export default defineCause({
  id: 'data-unanswered',
  title: 'an open connection without an answer in the capture',
  severity: 'warning',
  explains:
    'In a capture an open connection sent the same data, or probes, again and again and nothing came back. Packets do not tell why: the finding has what may be, and how to decide.',
  seenAs: ['stands-still', 'times-out', 'fails-after-pause'],
  packets: true,
  symptom: true,
  needs: [],
  on: ['unanswered'],
  match(event, known) {
    if (event.kind !== 'unanswered' || event.body.sent_again === 0) return null;
    const { flow, waited_ms, taken_at, sent_again, probes, idle_ms, longest, gave_up } = event.body;
    return {
      evidence: {
        from: local(flow),
        peer: remote(flow),
        sent_again,
        probes: probes === 1,
        waited_ms,
        idle_before_ms: idle_ms >= IDLE_MS ? idle_ms : null,
        longest_yet: longest === 1 || null,
        gave_up: gave_up === 1 || null,
        taken_at: TAKEN_AT[taken_at] ?? null,
        candidates: ids(candidatesOf(event.body, known)),
        moved: taken_at === AT_RECEIVER ? movedText(THERE, known) : [],
      },
      basis: 'inferred',
      subject: 'flow',
      where: service(flow),
      flow,
      group: `${byPeer(event.netns, flow)} ${taken_at} ${probes}`,
      owner: null,
      began_ns: event.ktime_ns - waited_ms * 1e6,
    };
  },
  summary({ from, peer, sent_again, probes, waited_ms, idle_before_ms, gave_up, moved }) {
    const what = probes
      ? `${from} sent ${peer} ${sent_again} probes`
      : `${from} sent ${peer} the same data again ${sent_again} times`;
    const idle =
      idle_before_ms === null ? '' : `; nothing had been sent for ${seconds(idle_before_ms)}`;
    const grew = moved.length > 0 ? `; meanwhile there grew ${moved.join(', ')}` : '';
    return `${what} in ${seconds(waited_ms)} without an answer${gave_up ? ', then reset the connection' : ''}${idle}${grew}`;
  },
  advice({ taken_at, candidates, probes }, flow) {
    const all =
      taken_at === TAKEN_AT[AT_RECEIVER]
        ? THERE
        : [TOO_LONG, FORGOTTEN, gone(goneOf(probes)), DROPPED_SOMEWHERE];
    return candidates.flatMap((id) =>
      all.filter(({ cause }) => cause === id).map(({ decides }) => decides(flow)),
    );
  },
});

const goneOf = (probes: boolean) => (probes ? 'keepalive-timeout' : 'retransmit-timeout');

function candidatesOf(
  { taken_at, probes, longest, idle_ms }: Unanswered,
  known: Knowledge,
): readonly Candidate[] {
  if (taken_at === AT_RECEIVER) return byCounters(THERE, known);
  const idle = idle_ms >= IDLE_MS;
  const too_long = longest === 1 && probes === 0 && !idle;
  return [
    ...(too_long ? [TOO_LONG] : []),
    ...(idle ? [FORGOTTEN] : []),
    gone(goneOf(probes === 1)),
    ...(idle ? [] : [FORGOTTEN]),
    DROPPED_SOMEWHERE,
  ];
}
