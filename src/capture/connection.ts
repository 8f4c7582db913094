// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../tcp/flags.ts';
import { before, distance, endOf } from '../tcp/sequence.ts';
import type { ResetCaptured } from '../wire/types.gen.ts';
import { End } from './end.ts';
import { type Ends, otherSide, type Side } from './ends.ts';
import type { Kept, Segment } from './segment.ts';

/** Pieces that came before what stands in front of them: more are not kept. */
const MOST_PIECES = 32;

/** It has acknowledged the other end's FIN. */
function hasHeardOfEnd(me: End, { fin }: End): boolean {
  return fin !== null && me.acked !== null && !before(me.acked, fin.at);
}

/** Both ends of every connection that has ended as open ones do: nothing is asked of them, and most have. */
const GONE: readonly [End, End] = [new End(), new End()];
GONE.forEach(Object.freeze);

/** What its server remembers for a minute of a connection that it had closed first. */
export interface Remembered {
  time_ns: number;
  /** What comes next of either. */
  client_next: number;
  server_next: number;
  /** The client's last timestamp; null: it sent none. */
  tsval: number | null;
}

/** What is left of a connection that was closed: of a busy host most are. */
export class Closed {
  readonly ends: Ends;
  generation: number;
  /** A SYN for its ends. */
  readonly contender: Contender | null;
  readonly #has: number;
  readonly #client_next: number;
  readonly #server_next: number;
  readonly #tsval: number;
  readonly #time_ns: number;

  /** `remembered` by its server; null: that is not sure. */
  constructor({ ends, generation, contender }: Connection, remembered: Remembered | null) {
    this.ends = ends;
    this.generation = generation;
    this.contender = contender;
    const { client_next = 0, server_next = 0, tsval = 0, time_ns = 0 } = remembered ?? {};
    this.#has = remembered === null ? 0 : tsval === null ? LEFT.remembered : LEFT.tsval;
    this.#client_next = client_next | 0;
    this.#server_next = server_next | 0;
    this.#tsval = (tsval ?? 0) | 0;
    this.#time_ns = time_ns;
  }

  get remembered(): Remembered | null {
    if (this.#has === 0) return null;
    return {
      time_ns: this.#time_ns,
      client_next: this.#client_next >>> 0,
      server_next: this.#server_next >>> 0,
      tsval: this.#has === LEFT.tsval ? this.#tsval >>> 0 : null,
    };
  }
}

/** Of Closed: what is remembered of it. */
const LEFT = { remembered: 1, tsval: 2 } as const;

/** Data with a timestamp that is older than what the other end had echoed. */
export interface OldData {
  seg: Kept;
  time_ns: number;
  /** When the newer one was sent. */
  newer_ns: number;
}

/** A SYN for a connection that has another first sequence number. */
export interface Contender {
  seg: Kept;
  time_ns: number;
}

/** A connection as far as the capture shows it. */
export class Connection {
  readonly ends: Ends;
  /** Of Followed. */
  generation = 0;
  #first = new End();
  #second = new End();
  /** Who sent its SYN; null: that was not seen. */
  opener: Side | null = null;
  /** When its first segment was seen. */
  readonly began_ns: number;
  /** Segments of it are missing. */
  torn = false;
  /** Its ends were in use before, and that had not ended as connections end. */
  contested = false;
  /** A segment of it came in at one device and left by another, or was captured before and behind a router. */
  forwarded = false;
  /** Carries an MPTCP option somewhere. */
  mptcp = false;
  /** Who sent what (history.ts). */
  history = '';
  /** A reset was seen that ends it. */
  reset = false;
  /** How the last reset came, beside what its sender had sent before; null: there was none, or nothing before. */
  reset_captured: Partial<ResetCaptured> | null = null;
  /** How often its SYN was seen, and when last. */
  syns = 0;
  syn_ns = 0;
  syn: Kept | null = null;
  /** Something answered its SYN that is no segment of its own: an ICMP error, another address. */
  answered_otherwise = false;
  /** A reset from another address that answers its SYN; null: there was none, or it was told. */
  refused_by: Kept | null = null;
  /** The last SYN-ACK from another address that was told of, and when. */
  answered_by: { seg: Kept; time_ns: number } | null = null;
  /** So many connects to its end had been answered when it began. */
  answered_before = 0;
  /** That nothing answers its SYN was told; and what it sends. */
  told_syns_unanswered = false;
  told_data_unanswered = false;
  /** So were its first sequence numbers. */
  told_numbers = false;
  /** When its client showed that it is open. */
  opened_ns = 0;
  /** It is kept as one that may wait for an answer of the end that was dialled. */
  is_asking = false;
  contender: Contender | null = null;
  /** What is remembered of the connection that its ends had before, and that a SYN refused for it was told. */
  before: Remembered | null = null;
  before_told = false;
  old_data: OldData | null = null;
  /** Whom its client says it connects for; and that this was told. */
  toa: Segment['toa'] = null;
  toa_told = false;

  constructor({ ends }: Segment, time_ns: number) {
    this.ends = ends;
    this.began_ns = time_ns;
  }

  get key(): string {
    return this.ends.key;
  }

  end(side: Side): End {
    return side === 0 ? this.#first : this.#second;
  }

  /** Address and port of an end, as they stand in the key. */
  at(side: Side): string {
    return this.ends.at(side);
  }

  /** The end that was dialled; null: not known. */
  get server(): End | null {
    return this.opener === null ? null : this.end(otherSide(this.opener));
  }

  get client(): End | null {
    return this.opener === null ? null : this.end(this.opener);
  }

  /** All of it was seen, from its SYN on. */
  get whole(): boolean {
    return !this.torn && this.#first.begun && this.#second.begun;
  }

  /** Both ends have shown that it is open to them. */
  get open(): boolean {
    return this.#first.opened && this.#second.opened;
  }

  /** Both have closed, and know it of each other. */
  get closed(): boolean {
    if (this.#first === GONE[0]) return true;
    if (!this.#first.fin || !this.#second.fin) return false;
    return hasHeardOfEnd(this.#first, this.#second) && hasHeardOfEnd(this.#second, this.#first);
  }

  /** Both ends are one. */
  get itself(): boolean {
    const [one, other] = this.ends.addresses.of;
    return one === other && this.at(0) === this.at(1);
  }

  /** Nothing more belongs to it. */
  get over(): boolean {
    return this.reset || this.closed;
  }

  /** It ended as an open connection does: what was said on it is of no use any more. */
  release(): void {
    this.syn = null;
    this.toa = null;
    this.before = null;
    this.old_data = null;
    this.history = '';
    [this.#first, this.#second] = GONE;
  }

  /** A segment without SYN or RST. */
  follow(segment: Segment, time_ns: number): void {
    const me = this.end(segment.side);
    const peer = this.end(otherSide(segment.side));
    peer.again_since_heard = 0;
    peer.waits = false;
    if (segment.flags & TCP_FLAG.ack) this.#acknowledge(segment, me, peer);
    me.window = segment.window << (this.#scaled ? (me.scale ?? 0) : 0);
    if (this.#take(segment, me, time_ns)) me.said(segment, time_ns);
    else me.heard(segment, time_ns);
  }

  #acknowledge({ ack, flags, payload_len, side }: Segment, me: End, peer: End): void {
    if (peer.isn === null) return;
    const beyond = distance(peer.next, ack);
    // It was not seen, but acknowledged.
    if (beyond > 0) {
      this.torn = true;
      return;
    }
    const first = (peer.isn + 1) >>> 0;
    const anew = me.acked === null ? distance(first, ack) > 0 : before(me.acked, ack);
    if (anew && me.fin !== null && (peer.fin === null || before(ack, peer.fin.at)))
      me.reads_on = true;
    if (me.acked === null || before(me.acked, ack)) {
      const length = distance(me.acked ?? first, ack);
      peer.longest_acked = Math.max(peer.longest_acked, Math.min(length, peer.longest));
      me.acked = ack;
    }
    const says = payload_len > 0 || (flags & TCP_FLAG.fin) !== 0;
    if (side === this.opener) me.opened = true;
    else if (says || distance(first, ack) > 0) me.opened = true;
  }

  /** Whether it has data that is new. */
  #take(segment: Segment, me: End, time_ns: number): boolean {
    if (!me.begun) return false;
    const end = endOf(segment);
    const { seq, payload_len, flags } = segment;
    if (flags & TCP_FLAG.fin) {
      const { fin } = this.end(otherSide(segment.side));
      me.fin ??= { at: end, time_ns, is_second: fin !== null && !before(segment.ack, fin.at) };
    }
    if (segment.has_timestamps && !before(me.next, seq)) {
      const { stamp } = me;
      if (stamp === null || !before(segment.tsval, stamp)) me.stamps(segment, time_ns);
    }
    const empty = end === seq;
    const again = !before(me.next, end) && (!empty || before(seq, me.next));
    if ((again || !empty) && !me.waits) {
      const heard_ns = this.end(otherSide(segment.side)).last_ns;
      me.waits = true;
      me.waits_since_ns = time_ns;
      me.waits_idle_ns = time_ns - Math.max(me.last_ns, heard_ns);
    }
    if (again) me.again_since_heard++;
    // A probe, or what was sent before.
    if (again || empty) return false;
    if (before(me.next, seq)) {
      if (me.pieces.length >= MOST_PIECES) this.torn = true;
      else me.pieces = [...me.pieces, [seq, end]];
    } else {
      me.next = end;
      this.#join(me);
    }
    return payload_len > 0;
  }

  /** What came too early may have its place now. */
  #join(me: End): void {
    for (let again = me.pieces.length > 0; again; ) {
      again = false;
      for (const [from, to] of me.pieces) {
        if (!before(me.next, from) && before(me.next, to)) {
          me.next = to;
          again = true;
        }
      }
      me.pieces = me.pieces.filter(([, to]) => before(me.next, to));
    }
  }

  get #scaled(): boolean {
    return this.#first.scale !== null && this.#second.scale !== null;
  }
}
