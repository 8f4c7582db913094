// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { errnoName } from '../../tcp/errno.ts';
import { service } from '../../tcp/service.ts';
import { defineCause } from '../define.ts';
import { listEntries } from '../shared/conntrack.ts';
import { byPeer } from '../shared/groups.ts';
import { ownerOf } from '../shared/processes.ts';
import { TIMEOUTS } from '../shared/silence.ts';
import { seconds, word } from '../shared/wording.ts';

export default defineCause({
  id: 'peer-window-shut',
  title: 'the peer keeps its window shut',
  severity: 'warning',
  explains:
    'The other side has no room for what waits here, and answers probes: its process does not read.',
  seenAs: ['stands-still'],
  needs: ['stalled'],
  on: ['retransmit', 'state_change', 'reset_received'],
  leadsTo: TIMEOUTS,
  match(event, known) {
    const stall = known.stall(event);
    if (stall?.kind !== 'peer_window') return null;
    const { sock, since_ms, ended, untouched, reads } = stall;
    const probes = event.kind === 'retransmit' ? sock.unanswered_probes : null;
    const heard = event.kind === 'retransmit' && (event.body.stall?.silent_ms ?? 0) < since_ms;
    return {
      evidence: {
        peer: remote(sock.flow),
        local: local(sock.flow),
        shut_for_ms: since_ms,
        waiting_bytes: sock.unacked_bytes,
        ...(untouched && { never_open: true }),
        ...(reads && { reads }),
        answers_probes: probes === null ? null : heard && probes <= 1,
        unanswered_probes: probes,
        ended_with: ended === null ? null : errnoName(ended),
      },
      basis: 'direct',
      subject: 'flow',
      where: service(sock.flow),
      flow: sock.flow,
      group: byPeer(event.netns, sock.flow),
      owner: ownerOf(sock.owner),
      began_ns: event.ktime_ns - since_ms * 1e6,
      ...(!stall.opens && { again: true as const }),
    };
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
  }) {
    const how =
      ended_with !== null
        ? `, until the connection ended with ${ended_with}`
        : answers_probes
          ? ', and answers probes'
          : ', and does not answer probes any more';
    if (never_open)
      return `${peer} completed the handshake and has kept its window shut since, for ${seconds(shut_for_ms)}${how}: it has taken none of the ${waiting_bytes} bytes of ${here}`;
    if (reads)
      return `${peer} reads slowly: its window is shut again, for ${seconds(shut_for_ms)}${how}: ${waiting_bytes} bytes of ${here} wait`;
    return `${peer} keeps its window shut for ${seconds(shut_for_ms)}${how}: ${waiting_bytes} bytes of ${here} wait`;
  },
  advice({ peer, answers_probes, never_open }, { saddr, daddr, sport, dport }) {
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
      `this host waits for as long as probes are answered: a limit is TCP_USER_TIMEOUT on the socket. The timer: \`ss -tno dst ${word(bracketed(daddr))}\` (persist)`,
      `is ${daddr} a proxy, or does it copy to another host? Then it may wait for that one: look there for the same`,
    ];
  },
});
