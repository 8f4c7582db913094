// SPDX-License-Identifier: Apache-2.0

import type { Connection } from './connection.ts';
import { addressPart, endOfKey, otherSide } from './ends.ts';
import { type Emit, flowOf } from './messages.ts';
import type { Segment } from './segment.ts';
import type { Stamps } from './stamps.ts';
import type { Vantage } from './vantage.ts';

/** So many SYNs, over so long a time, are no answer to a loss; an answer to the last of them would have come. */
const MANY_SYNS = 3;
const LONG_NS = 2e9;
const OVERDUE_NS = 1e9;
/** Fewer, and no other when that would have been due: who dialled gave up. */
const GIVEN_UP_NS = 3e9;
const MOST_ENDS = 50_000;
const NS_PER_MS = 1e6;

/** Connects that nothing answered, and who else was heard of meanwhile. */
export class UnansweredSyns {
  readonly #emit: Emit;
  readonly #vantage: Vantage;
  readonly #stamps: Stamps;
  /** Ends that answered connects with a SYN-ACK, and how many. */
  readonly #answered = new Map<string, number>();
  /** Addresses that sent anything but SYNs. */
  readonly #heard = new Set<string>();
  #last_heard = '';
  /** When it would be due that they are told, the first one first: of two SYNs, and of more. */
  readonly #few = new Map<Connection, number>();
  readonly #many = new Map<Connection, number>();

  constructor(emit: Emit, vantage: Vantage, stamps: Stamps) {
    this.#emit = emit;
    this.#vantage = vantage;
    this.#stamps = stamps;
  }

  hear(segment: Segment): void {
    if (this.#heard.size >= MOST_ENDS) return;
    const address = segment.ends.addresses.of[segment.side];
    if (address !== this.#last_heard) this.#heard.add(address);
    this.#last_heard = address;
  }

  /** Its SYN was sent again. */
  again(connection: Connection, time_ns: number): void {
    const { syns, began_ns, told_syns_unanswered } = connection;
    if (told_syns_unanswered || this.#few.size + this.#many.size >= MOST_ENDS) return;
    const many = syns >= MANY_SYNS && time_ns - began_ns >= LONG_NS;
    if (many) this.#few.delete(connection);
    const waiting = many ? this.#many : this.#few;
    if (waiting.has(connection)) {
      if (many) return;
      waiting.delete(connection);
    }
    waiting.set(connection, time_ns + (many ? OVERDUE_NS : GIVEN_UP_NS));
  }

  advance(time_ns: number): void {
    if (this.#few.size + this.#many.size === 0) return;
    for (const waiting of [this.#few, this.#many])
      for (const [connection, due_ns] of waiting) {
        if (due_ns > time_ns) break;
        waiting.delete(connection);
        this.#tell(connection);
      }
  }

  /** The capture ends: what was asked often is told. */
  finish(): void {
    for (const connection of this.#many.keys()) this.#tell(connection);
    this.clear();
  }

  clear(): void {
    this.#few.clear();
    this.#many.clear();
  }

  /** Not even a reset: why, packets do not tell. */
  #tell(connection: Connection): void {
    const { key, opener, began_ns, syns, syn, syn_ns, server } = connection;
    if (opener === null || connection.told_syns_unanswered || connection.over) return;
    if (server?.last || connection.answered_otherwise || connection.itself || connection.contested)
      return;
    connection.told_syns_unanswered = true;
    const dialled = endOfKey(key, otherSide(opener));
    const answered = this.answers(dialled) - connection.answered_before;
    this.#emit(
      syn_ns,
      {
        unanswered: {
          flow: flowOf(key, opener, opener),
          syns,
          waited_ms: Math.round((syn_ns - began_ns) / NS_PER_MS),
          taken_at: this.#vantage.endOf(connection, opener, syn),
          heard: this.#heard.has(addressPart(dialled)) ? 1 : 0,
          answered: Math.max(0, answered),
          older_stamp: this.#stamps.isOlder(connection) ? 1 : 0,
        },
      },
      connection,
    );
  }

  /** Somebody is there, and takes connections. */
  answeredAt(end: string): void {
    if (this.#answered.size >= MOST_ENDS || this.#heard.size >= MOST_ENDS) {
      this.#answered.clear();
      this.#heard.clear();
    }
    this.#answered.set(end, (this.#answered.get(end) ?? 0) + 1);
  }

  /** How many connects this end has answered. */
  answers(end: string): number {
    return this.#answered.get(end) ?? 0;
  }
}
