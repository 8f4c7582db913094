// SPDX-License-Identifier: Apache-2.0

import type { Connection } from './connection.ts';
import { type Segment, SLOTS } from './segment.ts';

/** Connections that are followed at once, at least; twice as many at most. */
const MOST_CONNECTIONS = 32_768;
/** SYNs of one end that wait for an answer: more are not kept. */
const MOST_DIALLED = 16;

/** The connections that are followed. In two generations: what was not seen for a whole one is forgotten. */
export class Followed {
  #young = new Map<string, Connection>();
  #old = new Map<string, Connection>();
  /** How many of them there were. */
  #generation = 0;
  /** By their slot, those that were asked for last: most segments are of one of them. */
  readonly #last = new Array<Connection | undefined>(SLOTS).fill(undefined);
  /** By the end that dialled: they share its address and port. */
  #dialled = new Map<string, readonly Connection[]>();

  /** The connection of a segment. */
  of({ key, slot }: Segment): Connection | undefined {
    const last = this.#last[slot];
    if (last?.generation === this.#generation && last.key === key) return last;
    const found = this.find(key);
    if (found) this.#last[slot] = found;
    return found;
  }

  find(key: string): Connection | undefined {
    const young = this.#young.get(key);
    if (young) return young;
    const old = this.#old.get(key);
    if (old) {
      this.#old.delete(key);
      this.#remember(old);
    }
    return old;
  }

  /** The one of a segment, from now on. */
  keep(connection: Connection, { slot }: Segment): void {
    this.#old.delete(connection.key);
    this.#last[slot] = connection;
    this.#remember(connection);
    this.#index(connection);
  }

  #remember(connection: Connection): void {
    this.#young.set(connection.key, connection);
    connection.generation = this.#generation;
    if (this.#young.size < MOST_CONNECTIONS) return;
    this.#generation++;
    this.#old = this.#young;
    this.#young = new Map();
    this.#dialled = new Map();
    for (const one of this.#old.values()) this.#index(one);
  }

  #index(connection: Connection): void {
    if (connection.opener === null || connection.over) return;
    const end = connection.at(connection.opener);
    const known = this.#dialled.get(end);
    if (!known) {
      this.#dialled.set(end, [connection]);
      return;
    }
    const others = known.filter((one) => !one.over && one.key !== connection.key);
    if (others.length < MOST_DIALLED) this.#dialled.set(end, [...others, connection]);
  }

  dialledBy(end: string): Iterable<Connection> {
    return this.#dialled.get(end) ?? [];
  }

  /** Nothing more is asked of it by the end that dialled. */
  ended(connection: Connection): void {
    const { key, opener } = connection;
    if (opener === null) return;
    const end = connection.at(opener);
    const others = this.#dialled.get(end)?.filter((one) => one.key !== key);
    if (others?.length === 0) this.#dialled.delete(end);
    else if (others) this.#dialled.set(end, others);
  }

  clear(): void {
    this.#generation++;
    this.#young.clear();
    this.#old.clear();
    this.#dialled.clear();
  }
}
