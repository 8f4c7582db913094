// SPDX-License-Identifier: Apache-2.0

/** What is left of a key that nothing was heard of for long: three numbers. */
export interface QuietKey {
  given: number;
  rest: number;
  /** Below 2³². */
  where: number;
}

const FEWEST = 2 ** 12;
const MOST = 2 ** 21;
/** Of its places so many are taken at most, and so many are looked at for one key. */
const FULL = 0.6;
const PROBES = 64;
/** Keys of the kernel are spread already; those of a file need not be. */
const SPREAD = 0x9e3779b97f4a7c15n;

/** Numbers by key, 24 bytes for a place: a host may have counted a million keys, and a file may say so. */
export class QuietKeys {
  /** Those that found no room as it grew. */
  forgotten = 0;
  #slots = FEWEST;
  #size = 0;
  /** 0: free. */
  #keys = new BigUint64Array(FEWEST);
  #given = new Float64Array(FEWEST);
  #rest = new Uint32Array(FEWEST);
  #where = new Uint32Array(FEWEST);

  get(key: string): QuietKey | null {
    if (this.#size === 0) return null;
    const at = this.#placeOf(BigInt(key));
    if (at < 0 || this.#keys[at] === 0n) return null;
    const [given = 0, rest = 0, where = 0] = [this.#given[at], this.#rest[at], this.#where[at]];
    return { given, rest, where };
  }

  /** False where there is no room for it. */
  set(key: string, { given, rest, where }: QuietKey): boolean {
    if (rest > 0xffffffff) return false;
    const at = this.#roomFor(BigInt(key));
    if (at < 0) return false;
    this.#given[at] = given;
    this.#rest[at] = rest;
    this.#where[at] = where;
    return true;
  }

  #roomFor(key: bigint): number {
    let at = this.#placeOf(key);
    if (at >= 0 && this.#keys[at] === key) return at;
    if (this.#size >= FULL * this.#slots) {
      if (this.#slots >= MOST) return -1;
      this.#grow();
      at = this.#placeOf(key);
    }
    if (at >= 0) {
      this.#keys[at] = key;
      this.#size++;
    }
    return at;
  }

  /** Where it is, or may be; -1: nowhere near where it belongs there is room. */
  #placeOf(key: bigint): number {
    const first = Number(BigInt.asUintN(64, key * SPREAD) >> 43n) & (this.#slots - 1);
    for (let i = 0; i < PROBES; i++) {
      const at = (first + i) & (this.#slots - 1);
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
      const at = this.#placeOf(key);
      if (at < 0) this.forgotten++;
      if (at < 0) continue;
      this.#keys[at] = key;
      this.#size++;
      this.#given[at] = given[from] ?? 0;
      this.#rest[at] = rest[from] ?? 0;
      this.#where[at] = where[from] ?? 0;
    }
  }
}
