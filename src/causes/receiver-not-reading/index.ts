// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { listensFor, local, remote } from '../../tcp/endpoint.ts';
import { errnoName } from '../../tcp/errno.ts';
import { service } from '../../tcp/service.ts';
import type { Event } from '../../wire/event.ts';
import type { Owner, Process, Sock } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { byPeer } from '../shared/groups.ts';
import { hindrance, hindranceAdvice, hindranceText, waitsAdvice } from '../shared/hindered.ts';
import { ownerOf } from '../shared/processes.ts';
import { inWords, seconds } from '../shared/wording.ts';

export default defineCause({
  id: 'receiver-not-reading',
  title: 'the process here does not read',
  severity: 'warning',
  explains:
    'What arrived fills the receive buffer and its process does not read it, so that the window is shut and the peer can send nothing; or the process does not even accept the connection.',
  seenAs: ['stands-still', 'first-request-fails'],
  needs: ['refused'],
  on: ['drop', 'state_change', 'reset_received', 'unaccepted'],
  supersedes: ['peer-window-shut'],
  match(event, known) {
    if (event.kind === 'unaccepted') return unaccepted(event, known);
    const stall = known.stall(event, 'own_window');
    if (!stall) return null;
    const { sock, since_ms, ended, reads } = stall;
    const owner = ownerOf(sock.owner);
    const listener = owner ? null : listenerOf(event.netns, sock, known);
    return {
      evidence: {
        local: local(sock.flow),
        peer: remote(sock.flow),
        unread_bytes: sock.unread_bytes as number | null,
        shut_for_ms: since_ms as number | null,
        ended_with: ended === null ? null : errnoName(ended),
        ...(reads && { reads }),
        ...(listener && { not_accepted_by: nameOf(listener) }),
        ...WITHOUT_QUEUE,
        ...hindrance(known, owner ? [owner] : listener ? [listener] : []),
      },
      basis: 'direct',
      subject: 'flow',
      where: service(sock.flow),
      flow: sock.flow,
      // Of several processes one may be stopped, and another read slowly.
      group: `${byPeer(event.netns, sock.flow)} ${owner?.pid ?? ''}`,
      owner,
      shut_by: local(sock.flow),
      ...(!stall.opens && { again: true as const }),
    };
  },
  summary({
    local: here,
    peer,
    unread_bytes,
    shut_for_ms,
    ended_with,
    not_accepted_by,
    not_accepted_ms,
    accept_queue,
    accept_queue_max,
    peer_gave_up,
    reads,
    ...hindered
  }) {
    if (not_accepted_ms !== undefined)
      return `${not_accepted_by ?? 'the process that listens'} ${not_accepted_by?.includes(', ') ? 'have' : 'has'} not accepted the connection of ${peer} to ${here} for ${seconds(not_accepted_ms)}${unread_bytes === null ? '' : `, with ${unread_bytes} bytes to read`}${peer_gave_up ? ', and that one has closed it since' : ''}: ${accept_queue} wait where ${accept_queue_max} may${hindranceText(hindered)}`;
    if (shut_for_ms === null) return '';
    const end = ended_with === null ? '' : `, until the connection ended with ${ended_with}`;
    if (not_accepted_by !== undefined)
      return `${not_accepted_by} has not accepted the connection of ${peer} to ${here}: ${unread_bytes} bytes wait, and the window is shut for ${seconds(shut_for_ms)}${end}${hindranceText(hindered)}`;
    if (reads && hindered.halted === undefined)
      return `the process at ${here} reads too slowly: ${unread_bytes} bytes of ${peer} wait in Recv-Q, and the window is shut again for ${seconds(shut_for_ms)}${end}${hindranceText(hindered)}`;
    return `the process at ${here} does not read: ${unread_bytes} bytes of ${peer} wait in Recv-Q, and the window is shut for ${seconds(shut_for_ms)}${end}${hindranceText(hindered)}`;
  },
  advice(
    { local: here, not_accepted_by, not_accepted_ms, accept_queue_max, reads, ...hindered },
    { sport, dport },
  ) {
    const socket = `'sport = :${sport} and dport = :${dport}'`;
    const known = hindranceAdvice(hindered);
    if (known.length > 0) return known;
    const waits = waitsAdvice(hindered);
    if (not_accepted_ms !== undefined)
      return [
        ...waits,
        `${here}: the kernel has taken the connection, and its client believes that it is served: nobody is refused before more than ${accept_queue_max} wait. Which do, and who listens: \`ss -ltnp 'sport = :${sport}'\``,
        `has its accept loop ended (an exception, a thread that died), or is it stuck, while the process lives? In its own log; what it waits for: \`ps -L -o lwp,stat,wchan:32,comm -p ${not_accepted_by?.match(/\((\d+)\)$/)?.[1] ?? 'PID'}\``,
      ];
    if (not_accepted_by !== undefined)
      return [
        ...waits,
        `${here}: no process is known to have the connection, so it waits in the accept queue: Recv-Q of the listener says how many do: \`ss -ltnp 'sport = :${sport}'\``,
        `${inWords(not_accepted_by)} does not accept(): stopped (state T), stuck, or out of threads? \`ps -o pid,stat,wchan:32,args -p ${not_accepted_by.match(/\((\d+)\)$/)?.[1]}\``,
      ];
    if (reads)
      return [
        `it reads, but slowly: how fast Recv-Q shrinks between two looks says how slowly: \`ss -tnmpe ${socket}\` What does it wait for (disk, lock, another host)? \`ps -o pid,stat,wchan:32,args -p PID\``,
        `where one thread serves many connections, a slow one holds up ${here} too; or it holds back on purpose what it cannot pass on (a proxy whose other end is slow)`,
        `a larger receive buffer (net.ipv4.tcp_rmem in the namespace of ${here}, SO_RCVBUF) only puts it off`,
      ];
    return [
      ...waits,
      `what does the process do? \`ss -tnmpe ${socket}\` shows it and its Recv-Q. Stopped (state T), or what does it wait for? \`ps -o pid,stat,wchan:32,args -p PID\``,
      `where one thread serves many connections, a slow one holds up ${here} too: what does it wait for (disk, lock, another host)?`,
    ];
  },
});

const NO_CGROUP = { cgroup: '0' };

const nameOf = ({ comm, pid }: Process) => `${comm} (${pid})`;

/** A connection that was accepted, or whose listener was not looked at. */
const WITHOUT_QUEUE: {
  not_accepted_ms?: number;
  accept_queue?: number;
  accept_queue_max?: number;
  peer_gave_up?: boolean;
} = {};

/** One that waits to be accepted, whether or not it fills its window. */
function unaccepted(event: Event<'unaccepted'>, known: Knowledge) {
  const { netns, body } = event;
  const { flow, waited_ms, queue, queue_max, holders, given_up } = body;
  const unread_bytes = body.mptcp > 0 ? null : body.unread_bytes;
  const [first] = holders;
  return {
    evidence: {
      local: local(flow),
      peer: remote(flow),
      unread_bytes,
      shut_for_ms: null,
      ended_with: null,
      ...(first && { not_accepted_by: holders.map(nameOf).join(', ') }),
      not_accepted_ms: waited_ms,
      accept_queue: queue,
      accept_queue_max: queue_max,
      ...(body.mptcp > 0 && { protocol: 'MPTCP' }),
      ...(given_up > 0 && { peer_gave_up: true }),
      ...hindrance(known, holders),
    },
    basis: 'direct' as const,
    subject: 'flow' as const,
    where: service(flow),
    flow,
    // As where its window is shut.
    group: `${byPeer(netns, flow)} ${unread_bytes === 0 ? 'silent' : ''}`,
    owner: first ? { ...NO_CGROUP, ...first } : null,
    // Who has sent nothing waits for nothing, but where it is to be greeted.
    ...(unread_bytes === 0 && { severity: 'info' as const }),
    ...(known.wasUnread(event) && { again: true as const }),
  };
}

/** Who would accept a connection that no process has yet. */
function listenerOf(netns: number, { flow }: Sock, known: Knowledge): Owner | null {
  const [listener, ...more] = known
    .listenersOnPort(flow.sport)
    .filter((one) => one.netns === netns && listensFor(one.sock, flow.saddr));
  return more.length > 0 ? null : ownerOf(listener?.sock.owner);
}
