// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { remote } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import type { Flow, Packet, Process, Sock } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { hindrance, hindranceAdvice, hindranceText, waitsAdvice } from '../shared/hindered.ts';
import { refusedAt, sharedAdvice, whichListener } from '../shared/listeners.ts';
import { ownerOf } from '../shared/processes.ts';
import { SILENCE } from '../shared/silence.ts';

type Refused = 'SYN' | 'third ACK' | 'third ACK, with a reset';

export default defineCause({
  id: 'accept-queue-full',
  title: 'the accept queue is full',
  severity: 'error',
  explains:
    'A listener’s accept queue is full: the process does not accept() fast enough, so SYNs or third ACKs are refused.',
  seenAs: ['connect-hangs', 'connect-late', 'first-request-fails'],
  needs: ['syn_fate', 'drop', 'reset_sent'],
  on: ['syn_received', 'drop', 'reset_sent'],
  supersedes: ['reset-by-peer', 'connect-refused', 'connection-unknown'],
  leadsTo: [...SILENCE, 'request-expired'],
  match(event, known) {
    const seen = refusal(event);
    if (!seen) return null;
    const { packet, listener, refused, basis, one_of = 0, dialled } = seen;
    const { evidence, ...at } = refusedAt(event.netns, packet, listener, one_of, known);
    return {
      ...at,
      evidence: {
        ...evidence,
        ...(dialled && { dialled: remote(dialled) }),
        refused,
        accept_queue: listener?.accept_queue ?? null,
        accept_queue_max: listener?.accept_queue_max ?? null,
        somaxconn: known.sysctl('net/core/somaxconn', event.netns),
        abort_on_overflow: known.sysctl('net/ipv4/tcp_abort_on_overflow', event.netns),
        client: packet.flow.saddr,
        ...hindrance(known, acceptors(listener, known)),
      },
      basis,
      flow: packet.flow,
      ...(dialled && { related: [dialled] }),
    };

    function refusal({ kind, body }: Event): {
      packet: Packet;
      listener: Sock | null;
      refused: Refused;
      basis: 'direct' | 'inferred';
      one_of?: number;
      dialled?: Flow | null;
    } | null {
      if (kind === 'syn_received' && body.mib.listen_overflows > 0) {
        const { packet, listener, mib, one_of, dialled } = body;
        const refused =
          packet.flags & TCP_FLAG.syn
            ? 'SYN'
            : mib.out_rsts > 0
              ? 'third ACK, with a reset'
              : 'third ACK';
        return {
          packet,
          listener,
          refused,
          one_of,
          dialled,
          basis: mib.mixed || one_of > 0 ? 'inferred' : 'direct',
        };
      }
      // The kernel also gives this reason where the child found no memory, route or port; and it
      // says NO_SOCKET of an ACK whose SYN cookie was good but that found no place.
      if (kind === 'drop' && overflowing(body.sock)) {
        const { packet, sock, location, reason } = body;
        const cookie = /^cookie_v[46]_check$/.test(known.symbol(location)?.name ?? '');
        return cookie || known.dropReason(reason) === 'TCP_LISTEN_OVERFLOW'
          ? { packet, listener: sock, refused: 'third ACK', basis: 'direct' }
          : null;
      }
      // Labelled INVALID_SYN although there is no SYN: tcp_abort_on_overflow=1. A stray ACK is
      // answered with a reset too, by a listener that has no part in it.
      if (
        kind === 'reset_sent' &&
        body.packet &&
        overflowing(body.sock) &&
        known.resetReason(body.reason) === 'INVALID_SYN' &&
        !(body.packet.flags & TCP_FLAG.syn)
      ) {
        return {
          packet: body.packet,
          listener: body.sock,
          refused: 'third ACK, with a reset',
          basis: 'direct',
        };
      }
      return null;
    }
  },
  summary({
    listener,
    listeners,
    listener_known,
    dialled,
    refused,
    accept_queue,
    accept_queue_max,
    client,
    ...hindered
  }) {
    const [packet, how = ''] = refused.split(',');
    const which = whichListener(listeners, listener_known);
    const queue = queueText(accept_queue, accept_queue_max);
    const redirected = dialled === undefined ? '' : `, where this host sends what dials ${dialled}`;
    return `${packet} from ${client} refused by ${listener}${which}${redirected}${how}${queue}${hindranceText(hindered)}`;
  },
  advice(evidence, { dport }) {
    const { accept_queue_max, somaxconn, listener } = evidence;
    const known = hindranceAdvice(evidence);
    if (known.length > 0) return [...known, ...sharedAdvice(evidence, dport)];
    return [
      `${listener}: the process does not accept() fast enough. Is it stuck or out of threads? \`ss -ltnp 'sport = :${dport}'\``,
      ...waitsAdvice(evidence),
      `or does it have as many connections as it wants (maxconn of HAProxy, worker_connections of nginx, maxConnections of Tomcat), and lets the others wait? So many it has, with those that wait: \`ss -tnH state established 'sport = :${dport}' | grep -c :\``,
      ...sharedAdvice(evidence, dport),
      `if it only bursts, give it room: ${roomAdvice(accept_queue_max, somaxconn)}`,
    ];
  },
});

function acceptors(listener: Sock | null, known: Knowledge): readonly Process[] {
  const held_by = listener ? known.holders(listener.id) : [];
  if (held_by.length > 0) return held_by;
  const owner = ownerOf(listener?.owner);
  return owner ? [owner] : [];
}

/** It was full when the segment came: what it holds a moment later may have been accepted. */
function queueText(length: number | null, max: number | null): string {
  if (length === null || max === null) return '';
  return length > max
    ? `: ${length} connections wait where ${max} may`
    : `: its accept queue, where ${max} may wait, was full, and has been emptied since`;
}

/** The kernel takes the lesser of two limits, when the program calls listen(). */
function roomAdvice(max: number | null, somaxconn: string | null): string {
  const now = max === null ? '' : ` (${max})`;
  const raise = '`sysctl -w net.core.somaxconn=4096` and restart the program';
  if (max === null || somaxconn === null)
    return `what may wait${now} is the lesser of the backlog that it gives to listen() and net.core.somaxconn in its namespace: \`sysctl net.core.somaxconn\` Where that is the lesser: ${raise}`;
  return Number(somaxconn) > max
    ? `raise the backlog that it gives to listen() (now ${max}); net.core.somaxconn (${somaxconn}) allows more`
    : `net.core.somaxconn${now} allows no more, whatever backlog it gives to listen(): ${raise}`;
}

/** One more than the limit fits: the kernel refuses when the queue is longer than it. */
function overflowing(sock: Sock | null): sock is Sock {
  return sock?.state === TCP_STATE.LISTEN && sock.accept_queue > sock.accept_queue_max;
}
