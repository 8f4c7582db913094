// SPDX-License-Identifier: Apache-2.0

const END_BYTES = 18;
const ADDRESS_BYTES = 16;

/** Which end of a connection: the lower one in its key, or the other. */
export type Side = 0 | 1;

/** Addresses of both ends, and the two together, from either. */
export interface Addresses {
  readonly of: readonly [string, string];
  readonly both: readonly [string, string];
}

export function addressesOf(key: string): Addresses {
  const of = [addressPart(endOfKey(key, 0)), addressPart(endOfKey(key, 1))] as const;
  return { of, both: [of[0] + of[1], of[1] + of[0]] };
}

/** Both ends of a connection: one object for its segments, as long as few others come between them. */
export class Ends {
  /** The same for both directions: 16 bytes of address and 2 of port each, as Latin-1. */
  readonly key: string;
  readonly addresses: Addresses;
  readonly #first: number;
  readonly #second: number;

  /** With the hash of each end, below 2 ** 30. */
  constructor(key: string, addresses: Addresses, first: number, second: number) {
    this.key = key;
    this.addresses = addresses;
    this.#first = first;
    this.#second = second;
  }

  /** Few others have the same. */
  get hash(): number {
    return (Math.imul(this.#first, 31) ^ this.#second) & 0x3fff_ffff;
  }

  hashOf(side: Side): number {
    return side === 0 ? this.#first : this.#second;
  }

  at(side: Side): string {
    return endOfKey(this.key, side);
  }
}

export const NOWHERE = new Ends('', { of: ['', ''], both: ['', ''] }, 0, 0);

/** One end of a key: address and port together, as Latin-1. */
export function endOfKey(key: string, side: Side): string {
  return side === 0 ? key.slice(0, END_BYTES) : key.slice(END_BYTES);
}

/** The key of what is between two ends, and which of the two the first of them is. */
export function keyOfEnds(one: string, other: string): { key: string; side: Side } {
  return one <= other ? { key: one + other, side: 0 } : { key: other + one, side: 1 };
}

/** An end as it stands in a key. */
export function endOf({ addr, port }: { addr: Uint8Array; port: number }): string {
  return `${Buffer.from(addr).toString('latin1')}${String.fromCharCode(port >> 8, port & 0xff)}`;
}

const V4 = `${'\0'.repeat(10)}\xff\xff`;

/** The family of a key; an address of IPv4 is ::ffff:a.b.c.d. */
export function isV4(key: string): boolean {
  return key.startsWith(V4);
}

export function addressPart(end: string): string {
  return end.slice(0, ADDRESS_BYTES);
}

export function addressOf(end: string): Uint8Array {
  return Buffer.from(addressPart(end), 'latin1');
}

export function portOf(end: string): number {
  return end.charCodeAt(ADDRESS_BYTES) * 256 + end.charCodeAt(ADDRESS_BYTES + 1);
}

export function otherSide(side: Side): Side {
  return side === 0 ? 1 : 0;
}

interface Between {
  readonly ends: Ends;
}

/** What is between two ends, in the order in which that was set. Numbers are found sooner than text. */
export class ByEnds<T extends Between> {
  readonly #found = new Map<number, T | readonly T[]>();
  size = 0;

  get({ hash, key }: Ends): T | undefined {
    const found = this.#found.get(hash);
    if (found === undefined) return undefined;
    if (isList(found)) return found.find((one) => one.ends.key === key);
    return found.ends.key === key ? found : undefined;
  }

  set(one: T): void {
    const { hash, key } = one.ends;
    const before = this.#found.get(hash);
    if (before === undefined || (!isList(before) && before.ends.key === key)) {
      this.#found.set(hash, one);
      if (before === undefined) this.size++;
      return;
    }
    const others = without(before, key);
    if (others.length === several(before).length) this.size++;
    this.#found.set(hash, [...others, one]);
  }

  delete({ ends: { hash, key } }: T): void {
    const before = this.#found.get(hash);
    if (before === undefined) return;
    const others = without(before, key);
    this.size -= several(before).length - others.length;
    if (others.length === 0) this.#found.delete(hash);
    else this.#found.set(hash, others);
  }

  *values(): Generator<T> {
    for (const found of this.#found.values()) yield* several(found);
  }

  clear(): void {
    this.#found.clear();
    this.size = 0;
  }
}

function isList<T>(found: T | readonly T[]): found is readonly T[] {
  return Array.isArray(found);
}

/** Most are alone, and have no list. */
export function several<T>(found: T | readonly T[]): readonly T[] {
  return isList(found) ? found : [found];
}

export function without<T extends Between>(found: T | readonly T[], key: string): readonly T[] {
  return several(found).filter((one) => one.ends.key !== key);
}
