// SPDX-License-Identifier: Apache-2.0

import { Kept, type Segment } from './segment.ts';

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

type Piece = readonly [from: number, to: number];
const NO_PIECES: readonly Piece[] = [];

/** Of End: which of its numbers are known. */
const HAS = { isn: 1, acked: 2, stamp: 4 } as const;

/**
 * One end of a connection, as what it sent tells. Of a busy host there are many at once: sequence numbers are kept as
 * V8 keeps small integers, signed, and what few ends have in an object of its own.
 */
export class End {
  #has = 0;
  #isn = 0;
  #next = 0;
  #acked = 0;
  #stamp = 0;
  /** TTL of its SYN or SYN-ACK, and where that was captured. */
  ttl = 0;
  device = 0;
  scale: number | null = null;
  /** That was not captured: how large its window is, is not known, but for whether it is shut. */
  scale_cut = false;
  /** What was seen beyond `next`. */
  pieces = NO_PIECES;
  /** As it gave last, in bytes. */
  window = 0;
  /** Null: its window is not shut. And that it had been for long before. */
  shut: Shut | null = null;
  was_shut = false;
  /** It has proved that the connection is open to it: not by a SYN alone. */
  opened = false;
  /** Beyond its FIN, and when it sent that, and whether it had the other end's then; null: it did not. */
  fin: { at: number; time_ns: number; is_second: boolean } | null = null;
  /** When `stamp` was sent. */
  stamp_ns = 0;
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
  #last_data: Kept | null = null;
  #spare: Kept | null = null;
  /** When that was sent. */
  last_data_ns = 0;

  /** Its SYN was seen. */
  get begun(): boolean {
    return (this.#has & HAS.isn) !== 0;
  }

  /** First sequence number; null: its SYN was not seen. */
  get isn(): number | null {
    return this.#has & HAS.isn ? this.#isn >>> 0 : null;
  }

  set isn(isn: number) {
    this.#has |= HAS.isn;
    this.#isn = isn | 0;
  }

  /** Beyond the last byte that was seen with all before it. */
  get next(): number {
    return this.#next >>> 0;
  }

  set next(next: number) {
    this.#next = next | 0;
  }

  /** Up to where it acknowledged the other end's bytes; null: not at all. */
  get acked(): number | null {
    return this.#has & HAS.acked ? this.#acked >>> 0 : null;
  }

  set acked(acked: number) {
    this.#has |= HAS.acked;
    this.#acked = acked | 0;
  }

  /** The newest timestamp that the other end may remember; null: it sends none. */
  get stamp(): number | null {
    return this.#has & HAS.stamp ? this.#stamp >>> 0 : null;
  }

  /** It sent one, or a first segment without. */
  stamps({ has_timestamps, tsval }: Segment, time_ns: number): void {
    this.#has = has_timestamps ? this.#has | HAS.stamp : this.#has & ~HAS.stamp;
    this.#stamp = tsval | 0;
    this.stamp_ns = time_ns;
  }

  /** Its last segment, until the next one. */
  get last(): Segment | null {
    return this.#last;
  }

  /** The last that was captured once more, at another place; until the next one. */
  get copy(): Segment | null {
    return this.#copy;
  }

  /** Its last one with data that had not been sent before, until the next one. */
  get last_data(): Segment | null {
    return this.#last_data;
  }

  /** It sent this. */
  heard(segment: Segment, time_ns: number): void {
    let kept = this.#compared(segment, time_ns);
    if (kept === null || kept === this.#last_data) {
      kept = this.#spare ?? new Kept();
      this.#spare = null;
    }
    this.#last = kept.take(segment);
  }

  heardAgain(segment: Segment): void {
    this.#copy = (this.#copy ?? new Kept()).take(segment);
  }

  /** It sent this, and its data is new: until the next one, the last and the last with data are one copy. */
  said(segment: Segment, time_ns: number): void {
    const kept = this.#compared(segment, time_ns) ?? new Kept();
    if (kept !== this.#last_data) this.#spare = this.#last_data;
    this.#last = kept.take(segment);
    this.#last_data = kept;
    this.last_data_ns = time_ns;
    this.sent_data = true;
    this.longest = Math.max(this.longest, segment.payload_len);
  }

  /** The one before. */
  #compared(segment: Segment, time_ns: number): Kept | null {
    const last = this.#last;
    if (last && !isSameWay(last, segment)) this.came_otherwise = true;
    this.last_ns = time_ns;
    return last;
  }
}

/** Captured at one place, and from the same device. */
export function isSameWay(one: Segment, other: Segment): boolean {
  return (
    one.mac_low === other.mac_low && one.mac_high === other.mac_high && one.device === other.device
  );
}
