// SPDX-License-Identifier: Apache-2.0

import { MOST_ALIKE, type Numbered } from './handshakes.ts';
import type { Segments } from './segments.ts';

/** One connection as one host saw it: in one direction, which is the same for all that are alike. */
interface Alias extends Numbered {
  connection: string;
  host: number;
}

/** What a connection is called elsewhere. */
export interface Translated {
  host: number;
  connection: string;
  here: readonly [string, string];
  there: readonly [string, string];
}

/**
 * Connections that are one, though their ends differ: a translation on the way leaves their sequence numbers. By
 * the first number alone only where the answer to it is not known everywhere.
 */
export class Translations {
  readonly #alike = new Map<string, Alias[][]>();
  readonly #canonical = new Map<string, string>();

  /** Of each host the segments that it saw. */
  constructor(hosts: readonly { segments: Segments }[]) {
    const by_number = new Map<string, Alias[]>();
    for (const [host, { segments }] of hosts.entries())
      for (const [number, connections] of segments.handshakes.entries()) {
        const known = by_number.get(number) ?? [];
        by_number.set(number, known);
        for (const [connection, numbered] of connections)
          known.push({ ...numbered, connection, host });
      }
    for (const together of by_number.values()) this.#join(together);
  }

  #join(together: readonly Alias[]): void {
    const connections = new Set(together.map(({ connection }) => connection));
    if (connections.size < 2 || connections.size > MOST_ALIKE) return;
    for (const connection of connections)
      this.#alike.set(connection, [...(this.#alike.get(connection) ?? []), [...together]]);
    const [first] = together;
    if (!first) return;
    for (const one of together) {
      if (!areOne(first, one) || this.#canonical.has(`${one.from} ${one.to}`)) continue;
      this.#canonical.set(`${one.from} ${one.to}`, this.endsOf(`${first.from} ${first.to}`));
      this.#canonical.set(`${one.to} ${one.from}`, this.endsOf(`${first.to} ${first.from}`));
    }
  }

  /** What a connection is called elsewhere, and here behind a translation. */
  of(connection: string): Translated[] {
    const found = new Map<string, Translated>();
    for (const together of this.#alike.get(connection) ?? []) {
      for (const mine of together.filter((one) => one.connection === connection))
        for (const other of together) {
          if (other.connection === connection || !areOne(mine, other)) continue;
          const name = `${other.host} ${other.connection}`;
          if (found.has(name)) continue;
          found.set(name, {
            ...{ host: other.host, connection: other.connection },
            ...{ here: [mine.from, mine.to], there: [other.from, other.to] },
          });
        }
    }
    return [...found.values()];
  }

  /** One name for both ends of a connection, in their order, whatever a translation made of them. */
  endsOf(ends: string): string {
    return this.#canonical.get(ends) ?? ends;
  }
}

function areOne(one: Alias, other: Alias): boolean {
  return one.answer === null || other.answer === null || one.answer === other.answer;
}
