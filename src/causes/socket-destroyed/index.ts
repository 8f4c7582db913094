// SPDX-License-Identifier: Apache-2.0

import { local, remote } from '../../tcp/endpoint.ts';
import { service } from '../../tcp/service.ts';
import { stateName } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { byService } from '../shared/groups.ts';
import { callers } from '../shared/kernel.ts';
import { ownerOf } from '../shared/processes.ts';
import { inWords } from '../shared/wording.ts';

export default defineCause({
  id: 'socket-destroyed',
  title: 'somebody destroyed the socket',
  severity: 'warning',
  explains:
    'A program closed a socket that is not its own (ss -K, or bpf_sock_destroy): its process gets ECONNABORTED, the peer a reset.',
  seenAs: ['reset', 'aborted'],
  needs: ['reset_sent', 'symbols'],
  on: ['reset_sent'],
  supersedes: ['reset-by-peer', 'connection-unknown'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, stack, running } = event.body;
    if (packet || !sock) return null;
    // A listener that is destroyed resets those that wait in its queue: that is its end.
    const by = callers(stack, known);
    if (!by.includes('tcp_abort') || by.includes('inet_csk_listen_stop')) return null;
    const destroyer = ownerOf(running ?? undefined);
    return {
      evidence: {
        local: local(sock.flow),
        peer: remote(sock.flow),
        state: stateName(sock.previous_state),
        destroyed_by: destroyer ? `${destroyer.comm} (${destroyer.pid})` : null,
        through: by.includes('bpf_sock_destroy') ? 'bpf_sock_destroy' : 'SOCK_DESTROY',
        unread_bytes: sock.unread_bytes,
        unacked_bytes: sock.unacked_bytes,
      },
      basis: 'direct',
      subject: 'flow',
      where: service(sock.flow),
      flow: sock.flow,
      group: byService(event.netns, sock.flow),
      owner: ownerOf(sock.owner),
    };
  },
  summary({ local: at, peer, destroyed_by }) {
    return `${destroyed_by ?? 'a program'} destroyed ${at}: its process gets ECONNABORTED, ${peer} a reset`;
  },
  advice({ local: at, destroyed_by, through }) {
    const who = destroyed_by === null ? 'the program' : inWords(destroyed_by);
    return [
      through === 'SOCK_DESTROY'
        ? `${who} asked for this by SOCK_DESTROY, which is option -K of ss; a VIP that moves and a service mesh do it too. Which script, unit or agent runs it? \`journalctl -t sudo\` or \`systemctl list-timers\``
        : `a BPF iterator that ${who} reads did this by bpf_sock_destroy, as a load balancer does whose backend is gone: \`bpftool prog list\` and \`bpftool link list\``,
      `if connections of ${at} shall survive, narrow the filter of what destroys them`,
    ];
  },
});
