// SPDX-License-Identifier: Apache-2.0

import { ERRNO } from '../tcp/errno.ts';
import { STALL, STALLED_MS } from '../tcp/stall.ts';
import { TCP_STATE } from '../tcp/states.ts';
import { isShutTo } from '../tcp/window.ts';
import type { Event } from '../wire/event.ts';
import type { Drop, Flow, Retransmit, Sock, Stall } from '../wire/types.gen.ts';
import { connectionId } from './connection-id.ts';
import { ExpiringMap } from './expiring-map.ts';

const STALLED_TIMEOUTS = 4;
/** Options may take so much of a full segment. */
const OPTIONS_BYTES = 40;
/** Paths that take less have other troubles. */
const LEAST_MSS = 500;
/** Retries and probes are at most 120 s apart (TCP_RTO_MAX). */
const SPAN_NS = 130e9;
const MOST = 20_000;
/** What two looks at one stall may differ by: jiffies, and the time that a retry takes. */
const SAME_MS = 1000;

/** What a connection waits for: the peer's acknowledgement, the peer's process, its own process. */
export type StallKind = 'timeouts' | 'peer_window' | 'own_window';

export interface Stalled {
  kind: StallKind;
  /** The first event of it. */
  opens: boolean;
  /** errno with which the connection ended, where it did. */
  ended: number | null;
  since_ms: number;
  /** The socket as it was when the stall was seen last. */
  sock: Sock;
  /** Of timeouts: where only full segments die. `opens`: that is told for the first time. */
  full: (Full & { opens: boolean }) | null;
  /** Of timeouts: a full segment, whether or not smaller ones pass. */
  large: Full | null;
  /** Of the peer's window: it has taken nothing since the handshake. */
  untouched: boolean;
  /** Of a window: its process has read something since it was shut for long at first. */
  reads: boolean;
}

interface Open {
  kind: StallKind;
  began_ns: number;
  retransmits: number;
  sock: Sock;
  full: Full | null;
  large: Full | null;
  untouched: boolean;
  reads: boolean;
}

/** A full segment that does not pass, and what tells that smaller ones do. */
export interface Full {
  segment_bytes: number;
  /** What was acknowledged before, where that is less than a full segment: all of it went in smaller ones. */
  passed_bytes: number | null;
  /** Smaller ones that were sent after it have arrived. */
  smaller_arrived: boolean;
  /** Nothing that was sent was ever acknowledged but the SYN. */
  is_first: boolean;
  path_mtu: number;
}

/** Connections that get no further, by socket: each stall is opened once, and ends with its connection. */
export class Stalls {
  readonly #open = new ExpiringMap<Open | null>(SPAN_NS, MOST);
  readonly #of = new WeakMap<Event, Stalled[]>();
  /** Connections whose process here does not read, or does not even accept them. */
  readonly #unread = new ExpiringMap<true>(SPAN_NS, MOST);
  readonly #again = new WeakSet<Event>();

  learn(event: Event): void {
    if (event.kind === 'unaccepted') {
      this.#isUnread(event, event.body.flow);
      return;
    }
    const seen = look(event);
    if (seen) this.#see(event, seen);
    else if (event.kind === 'state_change' && event.body.new_state === TCP_STATE.CLOSE)
      this.#end(event, event.body.sock, event.body.sock.err);
    else if (event.kind === 'reset_received') this.#end(event, event.body.sock, ERRNO.ECONNRESET);
  }

  of(event: Event, kinds: readonly StallKind[]): Stalled | null {
    return this.#of.get(event)?.find(({ kind }) => kinds.includes(kind)) ?? null;
  }

  /** Whether it was told before that this connection is not read, by this event or by another kind of it. */
  wasUnread(event: Event<'unaccepted'>): boolean {
    return this.#again.has(event);
  }

  #isUnread(event: Event, flow: Flow): boolean {
    const key = `${event.netns} ${connectionId(flow)}`;
    const before = this.#unread.get(key, event.ktime_ns) === true;
    this.#unread.set(key, true, event.ktime_ns);
    if (before) this.#again.add(event);
    return before;
  }

  #tell(event: Event, stalled: Stalled): void {
    this.#of.set(event, [...(this.#of.get(event) ?? []), stalled]);
  }

  #see(event: Event, { kind, sock, since_ms, full, large, untouched }: Seen): void {
    const { netns, ktime_ns } = event;
    const key = keyOf(netns, sock, kind);
    const before = this.#open.get(key, ktime_ns);
    const began_ns = ktime_ns - since_ms * 1e6;
    const same =
      before?.kind === kind &&
      (kind === 'timeouts'
        ? before.retransmits < sock.retransmits
        : Math.abs(before.began_ns - began_ns) < SAME_MS * 1e6);
    const reads =
      before?.kind === kind &&
      kind !== 'timeouts' &&
      (!same ||
        before.reads ||
        (kind === 'own_window' && sock.unread_bytes < before.sock.unread_bytes));
    const known = same ? before.full : null;
    const only = full?.smaller_arrived ? full : (known ?? full);
    const wasTold = known !== null && isTold(known, before?.retransmits ?? 0);
    this.#open.set(
      key,
      { kind, began_ns, retransmits: sock.retransmits, sock, full: only, large, untouched, reads },
      ktime_ns,
    );
    const told = only && isTold(only, sock.retransmits) ? only : null;
    if (kind === 'timeouts' && sock.retransmits < STALLED_TIMEOUTS && !told) return;
    // Of one that a process has by now it is another failure.
    const was_told =
      kind === 'own_window' && sock.owner.pid === 0 && this.#isUnread(event, sock.flow) && !before;
    this.#tell(event, {
      kind,
      opens: !was_told && (!same || (kind === 'timeouts' && before.retransmits < STALLED_TIMEOUTS)),
      ended: null,
      since_ms,
      sock,
      full: told && { ...told, opens: !wasTold },
      large,
      untouched,
      reads,
    });
  }

  #end(event: Event, sock: Sock, ended: number): void {
    for (const key of keysOf(event.netns, sock)) this.#endOne(event, key, ended);
  }

  #endOne(event: Event, key: string, ended: number): void {
    const open = this.#open.get(key, event.ktime_ns);
    if (!open) return;
    this.#open.set(key, null, event.ktime_ns);
    const { kind, sock, began_ns, retransmits, full, large, untouched, reads } = open;
    const wasTold = full !== null && isTold(full, retransmits);
    const told = full && (wasTold || ended === ETIMEDOUT) ? { ...full, opens: !wasTold } : null;
    if (kind === 'timeouts' && retransmits < STALLED_TIMEOUTS && !told) return;
    const since_ms = Math.round((event.ktime_ns - began_ns) / 1e6);
    this.#tell(event, {
      kind,
      opens: false,
      ended,
      since_ms,
      sock,
      full: told,
      large,
      untouched,
      reads,
    });
  }
}

const ETIMEDOUT = 110;

/** A peer that holds its socket takes nothing either, for a moment: where nothing else arrives it takes longer. */
function isTold({ smaller_arrived }: Full, retransmits: number): boolean {
  return smaller_arrived || retransmits >= STALLED_TIMEOUTS;
}

type Seen = Pick<Stalled, 'kind' | 'sock' | 'since_ms' | 'untouched' | 'large'> & {
  full: Full | null;
};

function look(event: Event): Seen | null {
  if (event.kind === 'retransmit') return ofSender(event.body);
  return event.kind === 'drop' ? ofReceiver(event.body) : null;
}

function ofSender({ sock, stall }: Retransmit): Seen | null {
  if (stall?.what === STALL.window)
    return {
      ...{ kind: 'peer_window', sock, since_ms: stall.since_ms, full: null, large: null },
      untouched: stall.acked_bytes <= SYN_BYTES,
    };
  if (stall?.what !== STALL.timeouts) return null;
  const large = fullSegment(sock, stall);
  return {
    ...{ kind: 'timeouts', sock, since_ms: sock.unanswered_ms, large },
    full: large && (large.smaller_arrived || large.passed_bytes !== null) ? large : null,
    untouched: false,
  };
}

/** What a SYN counts for among what was acknowledged. */
const SYN_BYTES = 1;

/** Null where what is sent again is none. */
function fullSegment(sock: Sock, stall: Stall): Full | null {
  const { segment_bytes, mss, acked_bytes, sacked, path_mtu } = stall;
  if (mss < LEAST_MSS || segment_bytes + OPTIONS_BYTES < mss) return null;
  const acked = Math.max(0, acked_bytes - SYN_BYTES);
  const smaller_arrived = sacked > 0 && sock.unacked_bytes > segment_bytes;
  const passed_bytes = acked > 0 && acked < segment_bytes ? acked : null;
  return { segment_bytes, passed_bytes, smaller_arrived, is_first: acked === 0, path_mtu };
}

function ofReceiver(drop: Drop): Seen | null {
  const { sock, since_data_ms } = drop;
  if (!sock || since_data_ms < STALLED_MS || !isShutTo(drop)) return null;
  return {
    ...{ kind: 'own_window', sock, since_ms: since_data_ms, full: null, large: null },
    untouched: false,
  };
}

/** What it sends may wait while what it was sent does: two programs that both write, and do not read. */
function keyOf(netns: number, { id }: Sock, kind: StallKind): string {
  return `${netns} ${id}${kind === 'own_window' ? ' receives' : ''}`;
}

function keysOf(netns: number, sock: Sock): readonly string[] {
  return [keyOf(netns, sock, 'timeouts'), keyOf(netns, sock, 'own_window')];
}
