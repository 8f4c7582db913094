// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { listensFor, local, remote } from '../../tcp/endpoint.ts';
import { errnoName } from '../../tcp/errno.ts';
import { service } from '../../tcp/service.ts';
import type { Owner, Sock } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { byPeer } from '../shared/groups.ts';
import { hindrance, hindranceAdvice, hindranceText } from '../shared/hindered.ts';
import { ownerOf } from '../shared/processes.ts';
import { inWords, seconds } from '../shared/wording.ts';

export default defineCause({
  id: 'receiver-not-reading',
  title: 'the process here does not read',
  severity: 'warning',
  explains:
    'What arrived fills the receive buffer and its process does not read it: the window is shut, and the peer can send nothing.',
  seenAs: ['stands-still'],
  needs: ['refused'],
  on: ['drop', 'state_change', 'reset_received'],
  supersedes: ['peer-window-shut'],
  match(event, known) {
    const stall = known.stall(event, 'own_window');
    if (!stall) return null;
    const { sock, since_ms, ended, reads } = stall;
    const owner = ownerOf(sock.owner);
    const listener = owner ? null : listenerOf(event.netns, sock, known);
    return {
      evidence: {
        local: local(sock.flow),
        peer: remote(sock.flow),
        unread_bytes: sock.unread_bytes,
        shut_for_ms: since_ms,
        ended_with: ended === null ? null : errnoName(ended),
        ...(reads && { reads }),
        ...(listener && { not_accepted_by: `${listener.comm} (${listener.pid})` }),
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
    reads,
    ...hindered
  }) {
    const end = ended_with === null ? '' : `, until the connection ended with ${ended_with}`;
    if (not_accepted_by !== undefined)
      return `${not_accepted_by} has not accepted the connection of ${peer} to ${here}: ${unread_bytes} bytes wait, and the window is shut for ${seconds(shut_for_ms)}${end}${hindranceText(hindered)}`;
    if (reads && hindered.halted === undefined)
      return `the process at ${here} reads too slowly: ${unread_bytes} bytes of ${peer} wait in Recv-Q, and the window is shut again for ${seconds(shut_for_ms)}${end}${hindranceText(hindered)}`;
    return `the process at ${here} does not read: ${unread_bytes} bytes of ${peer} wait in Recv-Q, and the window is shut for ${seconds(shut_for_ms)}${end}${hindranceText(hindered)}`;
  },
  advice({ local: here, not_accepted_by, reads, ...hindered }, { sport, dport }) {
    const socket = `'sport = :${sport} and dport = :${dport}'`;
    const known = hindranceAdvice(hindered);
    if (known.length > 0) return known;
    if (not_accepted_by !== undefined)
      return [
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
      `what does the process do? \`ss -tnmpe ${socket}\` shows it and its Recv-Q. Stopped (state T), or what does it wait for? \`ps -o pid,stat,wchan:32,args -p PID\``,
      `where one thread serves many connections, a slow one holds up ${here} too: what does it wait for (disk, lock, another host)?`,
    ];
  },
});

/** Who would accept a connection that no process has yet. */
function listenerOf(netns: number, { flow }: Sock, known: Knowledge): Owner | null {
  const [listener, ...more] = known
    .listenersOnPort(flow.sport)
    .filter((one) => one.netns === netns && listensFor(one.sock, flow.saddr));
  return more.length > 0 ? null : ownerOf(listener?.sock.owner);
}
