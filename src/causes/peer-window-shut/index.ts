// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { ERRNO, errnoName } from '../../tcp/errno.ts';
import { service } from '../../tcp/service.ts';
import type { Event } from '../../wire/event.ts';
import type { Flow, Owner, WindowShut } from '../../wire/types.gen.ts';
import { defineCause, type Evidence, type Match } from '../define.ts';
import { listEntries } from '../shared/conntrack.ts';
import { byPeer } from '../shared/groups.ts';
import { ownerOf } from '../shared/processes.ts';
import { TIMEOUTS } from '../shared/silence.ts';
import { seconds, word } from '../shared/wording.ts';

/** How it ended, as a capture shows it: who has room again, or reset the connection. */
const ENDED = { open: 1, by_receiver: 2, by_sender: 3 } as const;

interface Seen {
  since_ms: number;
  /** Null: that is not known, as in a capture. */
  bytes: number | null;
  untouched: boolean;
  reads: boolean;
  answers: boolean | null;
  unanswered: number | null;
  ended_with: string | null;
  opened_again?: boolean;
  reset_by?: string | null;
}

function evidenceOf(flow: Flow, seen: Seen) {
  return {
    peer: remote(flow),
    local: local(flow),
    shut_for_ms: seen.since_ms,
    waiting_bytes: seen.bytes,
    ...(seen.untouched && { never_open: true }),
    ...(seen.reads && { reads: true }),
    answers_probes: seen.answers,
    unanswered_probes: seen.unanswered,
    ended_with: seen.ended_with,
    ...(seen.opened_again && { opened_again: true }),
    ...(seen.reset_by && { reset_by: seen.reset_by }),
  };
}

/** As packets show it: whose window it is, and since when; not how much waits. */
function ofCapture({ flow, shut_ms, never_open, again, ended }: WindowShut) {
  return evidenceOf(flow, {
    since_ms: shut_ms,
    bytes: null,
    untouched: never_open === 1,
    reads: again === 1,
    answers: ended === 0 ? true : null,
    unanswered: null,
    ended_with: ended === ENDED.by_receiver ? errnoName(ERRNO.ECONNRESET) : null,
    opened_again: ended === ENDED.open,
    reset_by: ended === ENDED.by_sender ? local(flow) : null,
  });
}

function found<E extends Evidence>(
  { netns, ktime_ns }: Event,
  flow: Flow,
  since_ms: number,
  { evidence, owner, opens }: { evidence: E; owner: Owner | null; opens: boolean },
): Match<E> {
  return {
    evidence,
    basis: 'direct',
    subject: 'flow',
    where: service(flow),
    flow,
    group: byPeer(netns, flow),
    owner,
    shut_by: remote(flow),
    began_ns: ktime_ns - since_ms * 1e6,
    ...(!opens && { again: true as const }),
  };
}

export default defineCause({
  id: 'peer-window-shut',
  title: 'the peer keeps its window shut',
  severity: 'warning',
  explains:
    'The other side has no room for what waits here, and answers probes: its process does not read.',
  seenAs: ['stands-still'],
  packets: true,
  needs: ['stalled'],
  on: ['retransmit', 'state_change', 'reset_received', 'window_shut'],
  leadsTo: TIMEOUTS,
  match(event, known) {
    if (event.kind === 'window_shut') {
      const { flow, shut_ms, told } = event.body;
      return found(event, flow, shut_ms, {
        evidence: ofCapture(event.body),
        owner: null,
        opens: told === 0,
      });
    }
    const stall = known.stall(event, 'peer_window');
    if (!stall) return null;
    const { sock, since_ms, ended, untouched, reads } = stall;
    const probes = event.kind === 'retransmit' ? sock.unanswered_probes : null;
    const heard = event.kind === 'retransmit' && (event.body.stall?.silent_ms ?? 0) < since_ms;
    const evidence = evidenceOf(sock.flow, {
      since_ms,
      bytes: sock.unacked_bytes,
      untouched,
      reads,
      answers: probes === null ? null : heard && probes <= 1,
      unanswered: probes,
      ended_with: ended === null ? null : errnoName(ended),
    });
    const owner = ownerOf(sock.owner);
    return found(event, sock.flow, since_ms, { evidence, owner, opens: stall.opens });
  },
  summary({
    peer,
    local: here,
    shut_for_ms,
    waiting_bytes,
    never_open,
    reads,
    answers_probes,
    ended_with,
    opened_again,
    reset_by,
  }) {
    const how = opened_again
      ? ', until it opened again'
      : reset_by
        ? `, until ${reset_by} reset the connection`
        : ended_with !== null
          ? `, until the connection ended with ${ended_with}`
          : answers_probes
            ? ', and answers probes'
            : ', and does not answer probes any more';
    const waits =
      waiting_bytes === null
        ? `what ${here} ${opened_again ? 'had' : 'has'} to send ${opened_again ? 'waited' : 'waits'}`
        : `${waiting_bytes} bytes of ${here} wait`;
    const bytes = waiting_bytes === null ? 'nothing' : `none of the ${waiting_bytes} bytes`;
    if (never_open && opened_again)
      return `${peer} completed the handshake and kept its window shut for ${seconds(shut_for_ms)} from then on, and took nothing of ${here}`;
    if (never_open)
      return `${peer} completed the handshake and has kept its window shut since, for ${seconds(shut_for_ms)}${how}: it has taken ${bytes} of ${here}`;
    if (reads)
      return `${peer} reads slowly: its window ${opened_again ? 'was' : 'is'} shut again, for ${seconds(shut_for_ms)}${how}: ${waits}`;
    return `${peer} ${opened_again ? 'kept' : 'keeps'} its window shut for ${seconds(shut_for_ms)}${how}: ${waits}`;
  },
  advice({ peer, answers_probes, never_open, waiting_bytes }, { saddr, daddr, sport, dport }) {
    const gone =
      answers_probes === false ? [`is ${daddr} still there? \`ping -c 3 ${daddr}\``] : [];
    if (never_open)
      return [
        `a host that is there offers room from the beginning. A box on the way completes handshakes in its place (SYNPROXY, a filter of SYN floods) and does not reach it: is it up, and does something listen? On ${daddr}: \`ss -ltn 'sport = :${dport}'\` and \`tcpwhy trace ${word(peer)}\``,
        `on each hop that is a Linux host: \`nft list ruleset | grep -n synproxy\` or \`iptables-save | grep -i synproxy\` and \`${listEntries(saddr, `-s ${saddr} -d ${daddr}`)}\`: SYN_SENT there says that its own SYN is not answered`,
        `or it takes ${saddr} for an attacker, and holds it so on purpose (TARPIT)`,
        ...gone,
      ];
    return [
      ...gone,
      `the process at ${peer} does not read: it is stopped, stuck or slow. On ${daddr}: \`ss -tnmp 'sport = :${dport} and dport = :${sport}'\` (Recv-Q is what it has not read) and \`tcpwhy trace ${word(peer)}\``,
      `${waiting_bytes === null ? saddr : 'this host'} waits for as long as probes are answered: a limit is TCP_USER_TIMEOUT on the socket. The timer${waiting_bytes === null ? `, on ${saddr}` : ''}: \`ss -tno dst ${word(bracketed(daddr))}\` (persist)`,
      `is ${daddr} a proxy, or does it copy to another host? Then it may wait for that one: look there for the same`,
    ];
  },
});
