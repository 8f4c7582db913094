// SPDX-License-Identifier: Apache-2.0

import { local, remote } from '../../tcp/endpoint.ts';
import { defineCause } from '../define.ts';
import { callers } from '../shared/kernel.ts';
import { closedBy, endAdvice, endOfProcess, endText } from '../shared/processes.ts';

export default defineCause({
  id: 'listener-closed',
  title: 'the listener closed before it accepted',
  severity: 'warning',
  explains:
    'A listening socket was closed while connections waited in its accept queue: each of them is reset.',
  seenAs: ['first-request-fails'],
  needs: ['reset_sent', 'symbols'],
  on: ['reset_sent'],
  supersedes: ['reset-by-peer', 'connection-unknown', 'linger-zero-close'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, stack } = event.body;
    const by = callers(stack, known);
    if (packet || !sock || !by.includes('inet_csk_listen_stop')) return null;
    const { saddr, sport } = sock.flow;
    const process_end = endOfProcess(event.body, known);
    return {
      evidence: {
        listener: local(sock.flow),
        peer: remote(sock.flow),
        unread_bytes: sock.unread_bytes,
        process_end,
        ...(by.includes('inet_shutdown') && { shut_down: true }),
      },
      basis: 'direct',
      subject: 'listener',
      where: local(sock.flow),
      flow: sock.flow,
      group: `${event.netns} ${saddr} ${sport} ${process_end ?? ''}`,
      owner: closedBy(event.body, known),
    };
  },
  summary({ listener, peer, process_end, shut_down }) {
    const why = process_end === null ? '' : `: ${endText(process_end)}`;
    return `${listener} was ${shut_down ? 'shut down (shutdown(), not close())' : 'closed'} while ${peer} waited to be accepted${why}`;
  },
  advice({ listener, process_end, shut_down }) {
    return [
      ...(shut_down
        ? [
            `${listener}: its process called shutdown() on the listener, and has it still: nothing listens on the port until it calls listen() again. So do programs that stop taking clients: the queue has to be empty before`,
          ]
        : []),
      ...(process_end === null ? [] : [endAdvice(process_end, listener)]),
      `${listener}: the service stopped or restarted. Drain first: stop sending it clients, accept() until the queue is empty, then close`,
      'or pass the listening socket on (systemd socket activation, SO_REUSEPORT with net.ipv4.tcp_migrate_req=1)',
    ];
  },
});
