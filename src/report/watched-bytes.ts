// SPDX-License-Identifier: Apache-2.0

import { parseAddress } from '../tcp/address.ts';

const SLOTS = 2 ** 16;
const ADDRESS_BYTES = 16;

/**
 * Some connections, as records that are not decoded yet may be of them: what is of one has the addresses of both
 * of its ends somewhere.
 */
export class WatchedBytes {
  /** Each address has a number. */
  readonly #addresses: Uint8Array[] = [];
  /** By the last four bytes of an address: those that end so. */
  readonly #ending = new Map<number, number[]>();
  /** Where none of these words is. */
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
    const address = parseAddress(end.slice(0, end.lastIndexOf(':')).replace(/^\[|\]$/g, ''));
    if (!address) return -1;
    const word = address.reduce(appended, 0);
    const ending = this.#ending.get(word) ?? [];
    const known = ending.find((one) => this.#endsIn(address, ADDRESS_BYTES, one));
    if (known !== undefined) return known;
    const number = this.#addresses.push(address) - 1;
    this.#ending.set(word, [...ending, number]);
    this.#slots[slotOf(word)] = 1;
    return number;
  }

  #addressesIn(bytes: Uint8Array): number[] {
    const found: number[] = [];
    let word = 0;
    for (let at = 0; at < bytes.length; at++) {
      word = appended(word, bytes[at] as number);
      if (this.#slots[slotOf(word)] === 0) continue;
      for (const number of this.#ending.get(word) ?? [])
        if (!found.includes(number) && this.#endsIn(bytes, at + 1, number)) found.push(number);
    }
    return found;
  }

  /** Whether that address ends at a place of `bytes`. */
  #endsIn(bytes: Uint8Array, end: number, number: number): boolean {
    const from = end - ADDRESS_BYTES;
    return (
      from >= 0 && this.#addresses[number]?.every((byte, at) => byte === bytes[from + at]) === true
    );
  }

  #isPair(found: readonly number[]): boolean {
    return found.some((one) => found.some((other) => this.#pairs.has(`${one} ${other}`)));
  }
}

const appended = (word: number, byte: number) => (word << 8) | byte;

const slotOf = (word: number) => Math.imul(word, 0x9e3779b1) >>> 16;
