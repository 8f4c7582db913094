// SPDX-License-Identifier: Apache-2.0

/** What is left of a key that nothing was heard of for long: three numbers. */
export interface QuietKey {
  given: number;
  rest: number;
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

/** Of most keys `given` and `where` are one number; of others so many are kept as they are. */
const MOST_GIVEN = 2 ** 12;
const MOST_WHERE = 2 ** 20 - 1;
const MOST_LARGE = 200_000;
/** In place of what is no longer so, and found no room as it is. */
const GONE = 0xffffffff;

/** Numbers by key, 12 bytes for a place: a host may have counted a million keys, and a file may say so. */
export class QuietKeys {
  readonly #parts = Array.from({ length: PARTS }, () => new Part());
  readonly #large = new Map<string, QuietKey>();

  get(key: string): QuietKey | null {
    const large = this.#large.get(key);
    if (large) return large;
    const hashed = hashOf(key);
    const packed = this.#partOf(hashed).get(hashed);
    if (packed === null || packed === GONE) return null;
    return { given: packed % MOST_GIVEN, rest: 0, where: Math.floor(packed / MOST_GIVEN) };
  }

  /** False where there is no room for it: then nothing is known of it. */
  set(key: string, value: QuietKey): boolean {
    const { given, rest, where } = value;
    const hashed = hashOf(key);
    const part = this.#partOf(hashed);
    if (rest === 0 && given < MOST_GIVEN && where < MOST_WHERE) {
      if (part.set(hashed, where * MOST_GIVEN + given)) {
        this.#large.delete(key);
        return true;
      }
    }
    if (this.#large.size < MOST_LARGE || this.#large.has(key)) {
      this.#large.set(key, value);
      return true;
    }
    if (part.get(hashed) !== null) part.set(hashed, GONE);
    return false;
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
  #values = new Uint32Array(FEWEST);

  get(hashed: Hashed): number | null {
    const at = this.#placeOf(hashed);
    if (at < 0 || this.#keys[at] === 0n) return null;
    return this.#values[at] ?? 0;
  }

  set(hashed: Hashed, value: number): boolean {
    const at = this.#roomFor(hashed);
    if (at < 0) return false;
    this.#values[at] = value;
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
    const [keys, values] = [this.#keys, this.#values];
    this.#slots *= 2;
    this.#size = 0;
    this.#keys = new BigUint64Array(this.#slots);
    this.#values = new Uint32Array(this.#slots);
    for (const [from, key] of keys.entries()) {
      if (key === 0n) continue;
      const at = this.#take(this.#placeOf({ key, hash: hash(key) }), key);
      if (at < 0) this.forgotten++;
      else this.#values[at] = values[from] ?? 0;
    }
  }
}
