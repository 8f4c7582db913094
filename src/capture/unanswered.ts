// SPDX-License-Identifier: Apache-2.0

import { addressText } from '../tcp/address.ts';
import type { Connection } from './connection.ts';
import { type Emit, flowOf } from './messages.ts';
import { addressOf, addressPart, endOfKey, otherSide, type Segment, type Side } from './segment.ts';
import type { Vantage } from './vantage.ts';

/** So many SYNs, over so long a time, are no answer to a loss. */
const MANY_SYNS = 3;
const LONG_NS = 2e9;
const MOST_ENDS = 50_000;
const NS_PER_MS = 1e6;

/** Connects that nothing answered, and who else was heard of meanwhile. */
export class Unanswered {
  readonly #emit: Emit;
  readonly #vantage: Vantage;
  /** Ends that answered connects with a SYN-ACK, and how many. */
  readonly #answered = new Map<string, number>();
  /** Addresses that sent anything but SYNs. */
  readonly #heard = new Set<string>();
  #last_heard = '';

  constructor(emit: Emit, vantage: Vantage) {
    this.#emit = emit;
    this.#vantage = vantage;
  }

  hear(segment: Segment): void {
    if (this.#heard.size >= MOST_ENDS) return;
    const address = addressPart(endOfKey(segment.key, segment.side));
    if (address !== this.#last_heard) this.#heard.add(address);
    this.#last_heard = address;
  }

  /** Not even a reset: why, packets do not tell. */
  tell(connection: Connection, time_ns: number): void {
    const { key, opener, began_ns, syns, syn, server } = connection;
    if (opener === null || connection.told_unanswered || connection.over) return;
    const waited_ns = time_ns - began_ns;
    if (syns < MANY_SYNS || waited_ns < LONG_NS || connection.contested) return;
    if (server?.last || connection.answered_otherwise || connection.itself) return;
    connection.told_unanswered = true;
    const dialled = endOfKey(key, otherSide(opener));
    const answered = this.answers(dialled) - connection.answered_before;
    this.#emit(time_ns, {
      unanswered: {
        flow: flowOf(key, opener, opener),
        syns,
        waited_ms: Math.round(waited_ns / NS_PER_MS),
        taken_at: this.#takenAt(connection, syn),
        heard: this.#heard.has(addressPart(dialled)) ? 1 : 0,
        answered: Math.max(0, answered),
      },
    });
  }

  /** 1 at the end that dialled, 2 at the other one, 0 where that is not known. */
  #takenAt({ key, opener, forwarded }: Connection, syn: Segment | null): number {
    if (opener === null || forwarded) return 0;
    if (syn?.outgoing != null) return syn.outgoing ? 1 : 2;
    const { addresses } = this.#vantage.result();
    const at = (side: Side) => addresses.includes(addressText(addressOf(endOfKey(key, side))));
    return at(opener) ? 1 : at(otherSide(opener)) ? 2 : 0;
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
