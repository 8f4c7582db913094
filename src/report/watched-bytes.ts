// SPDX-License-Identifier: Apache-2.0

import { parseAddress } from '../tcp/address.ts';

const SLOTS = 2 ** 16;
const WORD_BYTES = 4;

/**
 * Some connections, as records that are not decoded yet may be of them: what is of one has the addresses of both
 * of its ends somewhere. These are told by their last four bytes.
 */
export class WatchedBytes {
  /** By the last word of an address. */
  readonly #numbers = new Map<number, number>();
  /** What most words are not in. */
  readonly #slots = new Uint8Array(SLOTS);
  readonly #pairs = new Set<string>();
  /** Of one of them an address is none: any record may be of it. */
  #any = false;

  /** Each as connectionOf() has it. */
  constructor(connections: Iterable<string>) {
    for (const connection of connections) {
      const [one, other] = connection.split(' ').map((end) => this.#numberOf(end));
      if (one === undefined || other === undefined || one < 0 || other < 0) this.#any = true;
      else this.#pairs.add(`${one} ${other}`).add(`${other} ${one}`);
    }
  }

  mayBeIn(bytes: Uint8Array): boolean {
    return this.#any || this.#isPair(this.#addressesIn(bytes));
  }

  #numberOf(end: string): number {
    const address = end.slice(0, end.lastIndexOf(':')).replace(/^\[|\]$/g, '');
    const word = parseAddress(address)?.slice(-WORD_BYTES).reduce(appended, 0);
    if (word === undefined) return -1;
    this.#slots[slotOf(word)] = 1;
    const number = this.#numbers.get(word) ?? this.#numbers.size;
    this.#numbers.set(word, number);
    return number;
  }

  #addressesIn(bytes: Uint8Array): number[] {
    const found: number[] = [];
    let word = 0;
    for (let at = 0; at < bytes.length; at++) {
      word = appended(word, bytes[at] as number);
      if (this.#slots[slotOf(word)] === 0) continue;
      const number = this.#numbers.get(word);
      if (number !== undefined && !found.includes(number)) found.push(number);
    }
    return found;
  }

  #isPair(found: readonly number[]): boolean {
    return found.some((one) => found.some((other) => this.#pairs.has(`${one} ${other}`)));
  }
}

const appended = (word: number, byte: number) => (word << 8) | byte;

const slotOf = (word: number) => Math.imul(word, 0x9e3779b1) >>> 16;
