// SPDX-License-Identifier: Apache-2.0

import { Closed, type Connection, type Remembered } from './connection.ts';
import {
  addressesOf,
  ByEnds,
  Ends,
  endOfKey,
  keyOfEnds,
  type Side,
  several,
  without,
} from './ends.ts';
import { type Segment, SLOTS } from './segment.ts';

/** Connections that are followed at once, at least; twice as many at most. */
const MOST_CONNECTIONS = 32_768;
/** SYNs of one end that wait for an answer: more are not kept. */
const MOST_DIALLED = 16;

/** The connections that are followed. In two generations: what was not seen for a whole one is forgotten. */
export class Followed {
  readonly #hash: (end: string) => number;
  #young = new ByEnds<Connection | Closed>();
  #old = new ByEnds<Connection | Closed>();
  /** How many of them there were. */
  #generation = 0;
  /** By their slot, those that were asked for last: most segments are of one of them. */
  readonly #last = new Array<Connection | Closed | undefined>(SLOTS).fill(undefined);
  /** By the end that dialled, by its hash: they share its address and port. */
  #dialled = new Map<number, Connection | readonly Connection[]>();

  constructor(hash: (end: string) => number) {
    this.#hash = hash;
  }

  /** The connection of a segment. */
  of({ ends, slot }: Segment): Connection | Closed | undefined {
    const last = this.#last[slot];
    if (last?.generation === this.#generation && last.ends.key === ends.key) return last;
    const found = this.#find(ends);
    if (found) this.#last[slot] = found;
    return found;
  }

  /** The connection between two ends, as they stand in a key. */
  between(one: string, other: string): Connection | Closed | undefined {
    const { key } = keyOfEnds(one, other);
    const hashOf = (side: Side) => this.#hash(endOfKey(key, side));
    return this.#find(new Ends(key, addressesOf(key), hashOf(0), hashOf(1)));
  }

  #find(ends: Ends): Connection | Closed | undefined {
    const young = this.#young.get(ends);
    if (young) return young;
    const old = this.#old.get(ends);
    if (old) {
      this.#old.delete(old);
      this.#remember(old);
    }
    return old;
  }

  /** The one of a segment, from now on. */
  keep(connection: Connection, { slot }: Segment): void {
    this.#last[slot] = connection;
    this.#remember(connection);
    this.#index(connection);
  }

  #remember(connection: Connection | Closed): void {
    this.#young.set(connection);
    connection.generation = this.#generation;
    if (this.#young.size < MOST_CONNECTIONS) return;
    this.#generation++;
    this.#old = this.#young;
    this.#young = new ByEnds();
    this.#dialled = new Map();
    for (const one of this.#old.values()) this.#index(one);
  }

  #index(connection: Connection | Closed): void {
    if (connection instanceof Closed || connection.opener === null || connection.over) return;
    const { ends, opener } = connection;
    const hash = ends.hashOf(opener);
    const known = this.#dialled.get(hash);
    if (!known) {
      this.#dialled.set(hash, connection);
      return;
    }
    const end = ends.at(opener);
    const others = without(known, ends.key).filter((one) => !one.over);
    const same = others.filter((one) => isDialledBy(one, end));
    if (same.length < MOST_DIALLED) this.#dialled.set(hash, [...others, connection]);
  }

  dialledBy(ends: Ends, side: Side): Iterable<Connection> {
    const known = this.#dialled.get(ends.hashOf(side));
    if (!known) return [];
    const end = ends.at(side);
    return several(known).filter((one) => isDialledBy(one, end));
  }

  /** It was closed: nothing more is asked of it, but for what is remembered. */
  ended(connection: Connection, { slot }: Segment, remembered: Remembered | null): void {
    const { ends, opener, generation } = connection;
    const closed = new Closed(connection, remembered);
    const those = generation === this.#generation ? this.#young : this.#old;
    if (those.get(ends) === connection) those.set(closed);
    if (this.#last[slot] === connection) this.#last[slot] = closed;
    if (opener === null) return;
    const hash = ends.hashOf(opener);
    const known = this.#dialled.get(hash);
    const others = known && without(known, ends.key);
    if (others?.length === 0) this.#dialled.delete(hash);
    else if (others) this.#dialled.set(hash, others);
  }

  clear(): void {
    this.#generation++;
    this.#young.clear();
    this.#old.clear();
    this.#dialled.clear();
  }
}

function isDialledBy(connection: Connection, end: string): boolean {
  return connection.opener !== null && connection.at(connection.opener) === end;
}
