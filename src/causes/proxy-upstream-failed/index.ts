// SPDX-License-Identifier: Apache-2.0

import { local, remote } from '../../tcp/endpoint.ts';
import { errnoName } from '../../tcp/errno.ts';
import { reversed } from '../../tcp/service.ts';
import type { Event } from '../../wire/event.ts';
import type { Flow, Owner } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { callers } from '../shared/kernel.ts';
import { ownerOf } from '../shared/processes.ts';
import { word } from '../shared/wording.ts';

interface Seen {
  flow: Flow;
  upstream: Flow;
  error: string;
  syn_retransmits: number | null;
  was_open: boolean;
  one_of: readonly Flow[];
  before_ms: number;
  /** Null: that is not known. */
  unread_bytes: number | null;
  owner: Owner | null;
  /** Only packets tell of it; and that it was closed, not reset. */
  packets?: { closed: boolean };
}

function found(event: Event, seen: Seen) {
  const { flow, upstream, was_open, one_of, packets, owner } = seen;
  return {
    evidence: {
      client: remote(flow),
      local: local(flow),
      upstream: remote(upstream),
      upstream_from: local(upstream),
      upstream_error: seen.error,
      upstream_cause: null as string | null,
      upstream_syn_retransmits: seen.syn_retransmits,
      ...(was_open && { upstream_was_open: true }),
      ...(one_of.length > 0 && { upstream_one_of: named(one_of) }),
      failed_before_ms: Math.round(seen.before_ms * 10) / 10,
      unread_bytes: seen.unread_bytes,
      ...(packets && { by_packets: true }),
      ...(packets?.closed && { closed: true }),
    },
    ...(one_of.length === 0 && { cameOf: { flow: upstream, evidence: 'upstream_cause' } }),
    // The service ended an open connection: so does the proxy, as it should.
    ...(was_open && { severity: 'warning' as const }),
    basis: 'inferred' as const,
    subject: 'flow' as const,
    where: local(flow),
    flow,
    related: one_of.length > 0 ? one_of.slice(0, MOST_NAMED) : [upstream],
    group: `${event.netns} ${flow.saddr} ${flow.sport} ${one_of.length > 0 ? 'one of' : `${upstream.daddr} ${upstream.dport}`}${was_open ? ' open' : ''}${packets?.closed ? ' closed' : ''}`,
    owner,
  };
}

/** Of what a capture shows: whose both connections are it does not. */
function ofCapture(event: Event<'upstream_failed'>) {
  const { flow, upstream, err, syns, was_open, before_us, closed } = event.body;
  if (!upstream) return null;
  return found(event, {
    flow,
    upstream,
    error: err === 0 ? 'no answer' : errnoName(err),
    syn_retransmits: was_open === 1 ? null : syns - 1,
    was_open: was_open === 1,
    one_of: [],
    before_ms: before_us / 1000,
    unread_bytes: null,
    owner: null,
    packets: { closed: closed === 1 },
  });
}

export default defineCause({
  id: 'proxy-upstream-failed',
  title: 'a proxy gave its client up because its own connection failed',
  severity: 'error',
  explains:
    'A process accepted a connection, could not connect to where it should have passed it on, or was reset there, and reset the client.',
  seenAs: ['first-request-fails'],
  packets: true,
  needs: ['reset_sent', 'reset_received', 'state', 'owner'],
  on: ['reset_sent', 'upstream_failed'],
  supersedes: [
    'unread-data-on-close',
    'linger-zero-close',
    'data-after-close',
    'reset-by-peer',
    'connection-unknown',
  ],
  match(event, known) {
    if (event.kind === 'upstream_failed') return ofCapture(event);
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, stack } = event.body;
    const failed = known.failedConnect(event);
    if (!failed || !sock) return null;
    const flow = packet ? reversed(packet.flow) : sock.flow;
    const accepted = known
      .listenersOnPort(flow.sport)
      .some(({ netns, sock: { owner } }) => netns === event.netns && owner.pid !== 0);
    // A process that ends closes everything: nothing of it is because of anything else.
    if (!accepted || callers(stack, known).includes('do_exit')) return null;
    const { was_open, one_of } = failed;
    return found(event, {
      flow,
      upstream: failed.flow,
      error: errorText(failed.err),
      syn_retransmits: was_open ? null : failed.retransmits,
      was_open,
      one_of,
      before_ms: (event.ktime_ns - failed.ktime_ns) / 1e6,
      unread_bytes: packet ? packet.payload_len : sock.unread_bytes,
      owner: ownerOf(failed.owner),
    });
  },
  summary(evidence) {
    const { local: at, client, upstream, upstream_error, upstream_cause } = evidence;
    const { upstream_was_open, upstream_one_of, closed } = evidence;
    const ended = closed
      ? `closed the connection of ${client} without an answer`
      : `reset ${client}`;
    if (upstream_one_of)
      return `${at} reset ${client}: just before one of its own connections had been reset (${upstream_one_of.join(', ')})`;
    if (upstream_was_open)
      return `${at} ${ended}: its own connection to ${upstream} had been reset just before${upstream_cause ? ` (${upstream_cause})` : ''}`;
    const why = upstream_cause ? `${upstream_error}, ${upstream_cause}` : upstream_error;
    return `${at} ${ended}: its own connect to ${upstream} had failed (${why})`;
  },
  advice(evidence) {
    const { local: at, client, upstream, upstream_from, upstream_cause, upstream_error } = evidence;
    const { upstream_was_open, upstream_one_of, by_packets, closed } = evidence;
    if (upstream_one_of) {
      const more = upstream_one_of.length < MOST_NAMED ? '' : ', and there may be more than these';
      return [
        `which of them was it? The log of the process at ${at} says whom it had dialled for ${client}; each was reset, and is shown beside this${more}`,
      ];
    }
    const port = String(upstream).match(/\d+$/)?.[0];
    const host = String(upstream).replace(/:\d+$/, '').replace(/[[\]]/g, '');
    const from = String(upstream_from).replace(/:\d+$/, '').replace(/[[\]]/g, '');
    const route = `ip route get ${host}${/^(0\.0\.0\.0|::)$/.test(from) ? '' : ` from ${from}`}`;
    const looked = upstream_cause
      ? `the failure to look into is that of ${upstream}: ${upstream_cause}, shown beside this; its page: \`tcpwhy causes ${upstream_cause}\``
      : `the failure to look into is that of ${upstream} (${upstream_error}). On ${host}: \`tcpwhy trace :${port}\``;
    // Packets show order and time, and not processes.
    const unsure = by_packets
      ? [
          `that both connections were of one process follows from their host, order and time: on it, \`tcpwhy trace ${word(at)}\` sees whose they are, and so does the log of the proxy`,
        ]
      : [];
    if (upstream_was_open)
      return [
        looked,
        ...unsure,
        `clients of ${at} see what happened to the connection behind it: it may only be tried again where the request may be made twice`,
      ];
    return [
      looked,
      ...unsure,
      `does it listen where the proxy dials? On ${host}: \`ss -ltn 'sport = :${port}'\` The way there: \`${route}\``,
      `clients of ${at} see a good handshake and then ${closed ? 'the end of the connection' : 'a reset'}: let the proxy take ${upstream} out of service while it is down (health checks), or answer for it`,
    ];
  },
});

/** So many are named. */
const MOST_NAMED = 5;

/** Both ends of each: two may be of one service. */
const named = (flows: readonly Flow[]) =>
  flows.slice(0, MOST_NAMED).map((flow) => `${local(flow)} to ${remote(flow)}`);

function errorText(err: number): string {
  return err === 0 ? 'given up while connecting' : errnoName(err);
}
