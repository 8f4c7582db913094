// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { service } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import { defineCause } from '../define.ts';
import { byService } from '../shared/groups.ts';
import { callers, NO_REASON } from '../shared/kernel.ts';
import { closedBy } from '../shared/processes.ts';

export default defineCause({
  id: 'fin-wait2-expired',
  title: 'a closed connection did not wait for the other end to close',
  severity: 'warning',
  explains:
    'A process closed a connection whose other end stayed open, and the kernel ended it with a reset: its time to wait in FIN_WAIT2 was over, or TCP_LINGER2 forbids to wait.',
  seenAs: ['reset'],
  needs: ['reset_sent'],
  on: ['reset_sent'],
  supersedes: ['reset-by-peer', 'connection-unknown'],
  match(event, known) {
    if (event.kind !== 'reset_sent' || !event.body.sock) return null;
    const how = ended(event, known);
    if (how === null) return null;
    const { sock } = event.body;
    return {
      evidence: { local: local(sock.flow), peer: remote(sock.flow), ended_by: how },
      basis: 'direct',
      subject: 'flow',
      where: service(sock.flow),
      flow: sock.flow,
      group: byService(event.netns, sock.flow),
      owner: closedBy(event.body, known),
    };
  },
  summary({ local: at, peer, ended_by }) {
    return ended_by === 'TCP_LINGER2'
      ? `${at} was closed while ${peer} was still open, and reset at once: TCP_LINGER2 is below 0`
      : `${at} was closed, ${peer} stayed open, and the time to wait in FIN_WAIT2 was over`;
  },
  advice({ local: at, peer, ended_by }) {
    return [
      ended_by === 'TCP_LINGER2'
        ? `${at}: the program asks for this (setsockopt TCP_LINGER2 with less than 0); remove it unless resets are wanted`
        : `how long it may wait: \`sysctl net.ipv4.tcp_fin_timeout\`, or TCP_LINGER2 of the socket`,
      `${peer} had got the end of the stream and did not close: does its process read until the end, and close then? There: \`ss -tanpo state close-wait\``,
    ];
  },
});

function ended(event: Event & { kind: 'reset_sent' }, known: Knowledge): string | null {
  const { packet, sock, reason, stack } = event.body;
  const name = known.resetReason(reason);
  if (packet) {
    // The very acknowledgement of its FIN ends it.
    const bare = packet.payload_len === 0 && !(packet.flags & (TCP_FLAG.fin | TCP_FLAG.syn));
    return bare && name === 'TCP_ABORT_ON_DATA' ? 'TCP_LINGER2' : null;
  }
  if (name === 'TCP_ABORT_ON_LINGER') return 'TCP_LINGER2';
  if (sock?.previous_state !== TCP_STATE.FIN_WAIT2) return null;
  const by = callers(stack, known);
  if (by.includes('tcp_keepalive_timer')) return 'timer';
  const closes = by.includes('__tcp_close') && !by.includes('tcp_disconnect');
  return name === NO_REASON && closes && sock.unread_bytes === 0 ? 'TCP_LINGER2' : null;
}
