// SPDX-License-Identifier: Apache-2.0

/** What is left of a key that nothing was heard of for long: three numbers. */
export interface QuietKey {
  given: number;
  rest: number;
  /** Below 2³². */
  where: number;
}

/** Each of as many parts grows by itself, so that there is never much twice. */
const PARTS = 64;
const FEWEST = 2 ** 6;
const MOST = 2 ** 15;
/** Of its places so many are taken at most, and so many are looked at for one key. */
const FULL = 0.6;
const PROBES = 64;
/** Keys of the kernel are spread already; those of a file need not be. */
const SPREAD = 0x9e3779b97f4a7c15n;
const HASH_BITS = 31n;

/** Numbers by key, 24 bytes for a place: a host may have counted a million keys, and a file may say so. */
export class QuietKeys {
  readonly #parts = Array.from({ length: PARTS }, () => new Part());

  get(key: string): QuietKey | null {
    const hashed = hashOf(key);
    return this.#partOf(hashed).get(hashed);
  }

  /** False where there is no room for it. */
  set(key: string, value: QuietKey): boolean {
    const hashed = hashOf(key);
    return value.rest <= 0xffffffff && this.#partOf(hashed).set(hashed, value);
  }

  /** Those that found no room as it grew. */
  get forgotten(): number {
    return this.#parts.reduce((sum, { forgotten }) => sum + forgotten, 0);
  }

  #partOf({ hash }: Hashed): Part {
    return this.#parts[hash % PARTS] as Part;
  }
}

interface Hashed {
  key: bigint;
  hash: number;
}

function hashOf(text: string): Hashed {
  const key = BigInt(text);
  return { key, hash: hash(key) };
}

const hash = (key: bigint) => Number(BigInt.asUintN(64, key * SPREAD) >> (64n - HASH_BITS));

class Part {
  forgotten = 0;
  #slots = FEWEST;
  #size = 0;
  /** 0: free. */
  #keys = new BigUint64Array(FEWEST);
  #given = new Float64Array(FEWEST);
  #rest = new Uint32Array(FEWEST);
  #where = new Uint32Array(FEWEST);

  get(hashed: Hashed): QuietKey | null {
    if (this.#size === 0) return null;
    const at = this.#placeOf(hashed);
    if (at < 0 || this.#keys[at] === 0n) return null;
    const [given = 0, rest = 0, where = 0] = [this.#given[at], this.#rest[at], this.#where[at]];
    return { given, rest, where };
  }

  set(hashed: Hashed, { given, rest, where }: QuietKey): boolean {
    const at = this.#roomFor(hashed);
    if (at < 0) return false;
    this.#given[at] = given;
    this.#rest[at] = rest;
    this.#where[at] = where;
    return true;
  }

  #roomFor(hashed: Hashed): number {
    const at = this.#placeOf(hashed);
    if (at >= 0 && this.#keys[at] === hashed.key) return at;
    if (this.#size < FULL * this.#slots) return this.#take(at, hashed.key);
    if (this.#slots >= MOST) return -1;
    this.#grow();
    return this.#take(this.#placeOf(hashed), hashed.key);
  }

  #take(at: number, key: bigint): number {
    if (at < 0) return at;
    this.#keys[at] = key;
    this.#size++;
    return at;
  }

  /** Where it is, or may be; -1: nowhere near where it belongs there is room. */
  #placeOf({ key, hash }: Hashed): number {
    for (let i = 0; i < PROBES; i++) {
      const at = (Math.floor(hash / PARTS) + i) & (this.#slots - 1);
      const there = this.#keys[at];
      if (there === key || there === 0n) return at;
    }
    return -1;
  }

  #grow(): void {
    const [keys, given, rest, where] = [this.#keys, this.#given, this.#rest, this.#where];
    this.#slots *= 2;
    this.#size = 0;
    this.#keys = new BigUint64Array(this.#slots);
    this.#given = new Float64Array(this.#slots);
    this.#rest = new Uint32Array(this.#slots);
    this.#where = new Uint32Array(this.#slots);
    for (const [from, key] of keys.entries()) {
      if (key === 0n) continue;
      const at = this.#take(this.#placeOf({ key, hash: hash(key) }), key);
      if (at < 0) this.forgotten++;
      if (at < 0) continue;
      this.#given[at] = given[from] ?? 0;
      this.#rest[at] = rest[from] ?? 0;
      this.#where[at] = where[from] ?? 0;
    }
  }
}
