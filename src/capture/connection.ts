// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../tcp/flags.ts';
import { before, distance, endOf } from '../tcp/sequence.ts';
import type { ResetCaptured } from '../wire/types.gen.ts';
import { endOfKey, Kept, otherSide, type Segment, type Side } from './segment.ts';

/** Pieces that came before what stands in front of them: more are not kept. */
const MOST_PIECES = 32;

/** The window of one end while it is shut. */
export interface Shut {
  since_ns: number;
  /** Of the other end: when it asked last, how long after the time before, and whether that is answered. */
  asked_ns: number;
  gap_ns: number;
  answered: boolean;
  /** How often in a row it waited longer before it asked again. */
  later: number;
  /** It has something to send. */
  waits: boolean;
  /** Probes that were answered. */
  probes: number;
  told: boolean;
}

/** One end of a connection, as what it sent tells. */
export class End {
  /** First sequence number; null: its SYN was not seen. */
  isn: number | null = null;
  /** TTL of its SYN or SYN-ACK, and where that was captured. */
  ttl = 0;
  device = 0;
  scale: number | null = null;
  /** That was not captured: how large its window is, is not known, but for whether it is shut. */
  scale_cut = false;
  /** Beyond the last byte that was seen with all before it. */
  next = 0;
  /** What was seen beyond that: from, to. */
  pieces: [number, number][] = [];
  /** Up to where it acknowledged the other end's bytes; null: not at all. */
  acked: number | null = null;
  /** As it gave last, in bytes. */
  window = 0;
  /** Null: its window is not shut. And that it had been for long before. */
  shut: Shut | null = null;
  was_shut = false;
  /** It has proved that the connection is open to it: not by a SYN alone. */
  opened = false;
  /** Beyond its FIN, and when it sent that, and whether it had the other end's then; null: it did not. */
  fin: { at: number; time_ns: number; is_second: boolean } | null = null;
  /** The newest timestamp that the other end may remember, and when that was sent; null: it sends none. */
  stamp: { tsval: number; time_ns: number } | null = null;
  /** It acknowledged new data after its own FIN: its process reads on. */
  reads_on = false;
  sent_data = false;
  last_ns = 0;
  /** Of its history: what stands there once, and how often it sent data again, and a window of 0. */
  letters = 0;
  sent_again = 0;
  shut_told = 0;
  /** What it sent came from devices of different MACs, or at different places. */
  came_otherwise = false;
  /** What it sent again, or asked, since the other end was heard of. */
  again_since_heard = 0;
  /** That it has sent anything since then; when first, and for how long nothing had been sent before that. */
  waits = false;
  waits_since_ns = 0;
  waits_idle_ns = 0;
  /** The longest segment that it sent, and the longest that was acknowledged. */
  longest = 0;
  longest_acked = 0;
  #last: Kept | null = null;
  #copy: Kept | null = null;
  #last_data: { seg: Kept; time_ns: number } | null = null;

  /** Its last segment, until the next one. */
  get last(): Segment | null {
    return this.#last;
  }

  /** The last that was captured once more, at another place; until the next one. */
  get copy(): Segment | null {
    return this.#copy;
  }

  /** Its last one with data that had not been sent before, until the next one. */
  get last_data(): { readonly seg: Segment; readonly time_ns: number } | null {
    return this.#last_data;
  }

  /** It sent this. */
  heard(segment: Segment, time_ns: number): void {
    if (!this.#last) this.#last = Kept.of(segment);
    else {
      if (!isSameWay(this.#last, segment)) this.came_otherwise = true;
      this.#last.take(segment);
    }
    this.last_ns = time_ns;
  }

  heardAgain(segment: Segment): void {
    this.#copy = (this.#copy ?? new Kept()).take(segment);
  }

  /** Data that is new. */
  said(segment: Segment, time_ns: number): void {
    this.sent_data = true;
    this.longest = Math.max(this.longest, segment.payload_len);
    if (!this.#last_data) this.#last_data = { seg: Kept.of(segment), time_ns };
    else {
      this.#last_data.seg.take(segment);
      this.#last_data.time_ns = time_ns;
    }
  }
}

/** Captured at one place, and from the same device. */
export function isSameWay(one: Segment, other: Segment): boolean {
  return (
    one.mac_low === other.mac_low && one.mac_high === other.mac_high && one.device === other.device
  );
}

/** It has acknowledged the other end's FIN. */
function hasHeardOfEnd(me: End, { fin }: End): boolean {
  return fin !== null && me.acked !== null && !before(me.acked, fin.at);
}

/** Both ends of every connection that has ended as open ones do: nothing is asked of them, and most have. */
const GONE: readonly [End, End] = [new End(), new End()];
GONE.forEach(Object.freeze);

/** A connection that whoever was dialled had closed first: it remembers that for a minute. */
export interface Ended {
  time_ns: number;
  /** What comes next of either. */
  client_next: number;
  server_next: number;
  /** The client's last timestamp; null: it sent none. */
  tsval: number | null;
  /** That it refused a SYN for its timestamp was told. */
  told: boolean;
}

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
  readonly key: string;
  /** Of Followed. */
  generation = 0;
  #names: readonly [string, string] | null = null;
  #ends: readonly [End, End] = [new End(), new End()];
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
  /** What is left of it where it was closed, and of the connection that its ends had before. */
  ended: Ended | null = null;
  before: Ended | null = null;
  old_data: OldData | null = null;
  /** Whom its client says it connects for; and that this was told. */
  toa: Segment['toa'] = null;
  toa_told = false;

  constructor(key: string, time_ns: number) {
    this.key = key;
    this.began_ns = time_ns;
  }

  end(side: Side): End {
    return this.#ends[side];
  }

  /** Address and port of an end, as they stand in the key. */
  at(side: Side): string {
    this.#names ??= [endOfKey(this.key, 0), endOfKey(this.key, 1)];
    return this.#names[side];
  }

  /** The end that was dialled; null: not known. */
  get server(): End | null {
    return this.opener === null ? null : this.#ends[otherSide(this.opener)];
  }

  get client(): End | null {
    return this.opener === null ? null : this.#ends[this.opener];
  }

  /** All of it was seen, from its SYN on. */
  get whole(): boolean {
    return !this.torn && this.#ends[0].isn !== null && this.#ends[1].isn !== null;
  }

  /** Both ends have shown that it is open to them. */
  get open(): boolean {
    return this.#ends[0].opened && this.#ends[1].opened;
  }

  /** Both have closed, and know it of each other. */
  get closed(): boolean {
    if (this.#ends === GONE) return true;
    const ends = this.#ends;
    return hasHeardOfEnd(ends[0], ends[1]) && hasHeardOfEnd(ends[1], ends[0]);
  }

  /** Both ends are one. */
  get itself(): boolean {
    return this.at(0) === this.at(1);
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
    this.#names = null;
    this.#ends = GONE;
  }

  /** A segment without SYN or RST. */
  follow(segment: Segment, time_ns: number): void {
    const me = this.#ends[segment.side];
    const peer = this.#ends[otherSide(segment.side)];
    peer.again_since_heard = 0;
    peer.waits = false;
    if (segment.flags & TCP_FLAG.ack) this.#acknowledge(segment, me, peer);
    me.window = segment.window << (this.#scaled ? (me.scale ?? 0) : 0);
    this.#take(segment, me, time_ns);
    me.heard(segment, time_ns);
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

  #take(segment: Segment, me: End, time_ns: number): void {
    if (me.isn === null) return;
    const end = endOf(segment);
    const { seq, payload_len, flags } = segment;
    if (flags & TCP_FLAG.fin) {
      const { fin } = this.#ends[otherSide(segment.side)];
      me.fin ??= { at: end, time_ns, is_second: fin !== null && !before(segment.ack, fin.at) };
    }
    if (segment.has_timestamps && !before(me.next, seq)) {
      if (!me.stamp) me.stamp = { tsval: segment.tsval, time_ns };
      else if (!before(segment.tsval, me.stamp.tsval)) {
        me.stamp.tsval = segment.tsval;
        me.stamp.time_ns = time_ns;
      }
    }
    const empty = end === seq;
    const again = !before(me.next, end) && (!empty || before(seq, me.next));
    if ((again || !empty) && !me.waits) {
      const heard_ns = this.#ends[otherSide(segment.side)].last_ns;
      me.waits = true;
      me.waits_since_ns = time_ns;
      me.waits_idle_ns = time_ns - Math.max(me.last_ns, heard_ns);
    }
    if (again) me.again_since_heard++;
    // A probe, or what was sent before.
    if (again || empty) return;
    if (payload_len > 0) me.said(segment, time_ns);
    if (before(me.next, seq)) {
      if (me.pieces.length >= MOST_PIECES) this.torn = true;
      else me.pieces.push([seq, end]);
      return;
    }
    me.next = end;
    this.#join(me);
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
    return this.#ends[0].scale !== null && this.#ends[1].scale !== null;
  }
}
