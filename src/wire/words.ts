// SPDX-License-Identifier: Apache-2.0

import { addressText } from '../tcp/address.ts';
import { plainText } from './text.ts';

/** Little-endian words of four bytes. */
export type Words = Int32Array;

/** Few texts make up nearly all records: each is made once and found by its words from then on. */
const REMEMBERED = 1024;

interface Remembered {
  a: number;
  b: number;
  c: number;
  d: number;
  text: string;
}

const numbers: (Remembered | undefined)[] = new Array(REMEMBERED);
const addresses: (Remembered | undefined)[] = new Array(REMEMBERED);
const texts: (Remembered | undefined)[] = new Array(REMEMBERED);

export function u32(w: Words, at: number): number {
  return (w[at] as number) >>> 0;
}

/** Only the bits of `mask`. */
export function low(w: Words, at: number, mask: number): number {
  return (w[at] as number) & mask;
}

/** Exact below 2^53. */
export function number64(w: Words, at: number): number {
  return u32(w, at + 1) * 2 ** 32 + u32(w, at);
}

/** 64 bits as decimal text. */
export function u64(w: Words, at: number): string {
  const a = w[at] as number;
  const b = w[at + 1] as number;
  if (b === 0) return a >= 0 && a < 10 ? (DIGITS[a] as string) : String(a >>> 0);
  const place = slot(a, b);
  const known = numbers[place];
  if (known !== undefined && known.a === a && known.b === b) return known.text;
  const made = String((BigInt(b >>> 0) << 32n) | BigInt(a >>> 0));
  numbers[place] = { a, b, c: 0, d: 0, text: made };
  return made;
}

const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit));

export function address(w: Words, at: number): string {
  return remembered(addresses, addressText, w, at);
}

const copy = new Int32Array(4);
const copyBytes = new Uint8Array(copy.buffer);

/** Of bytes that lie anywhere. */
export function addressOf(bytes: Uint8Array): string {
  if (bytes.length !== copyBytes.length) return addressText(bytes);
  copyBytes.set(bytes);
  return address(copy, 0);
}

export function text(w: Words, at: number): string {
  return remembered(texts, plainText, w, at);
}

/** Up to the first that is zero. */
export function pointers(w: Words, at: number, words: number): string[] {
  const all: string[] = [];
  for (let i = at; i < at + words && (w[i] !== 0 || w[i + 1] !== 0); i += 2) all.push(u64(w, i));
  return all;
}

/** Whether all of these words, counted from `at`, are zero. */
export function isZero(w: Words, at: number, words: readonly number[]): boolean {
  for (let i = 0; i < words.length; i++) {
    if (w[at + (words[i] as number)] !== 0) return false;
  }
  return true;
}

function remembered(
  among: (Remembered | undefined)[],
  make: (bytes: Uint8Array) => string,
  w: Words,
  at: number,
): string {
  const a = w[at] as number;
  const b = w[at + 1] as number;
  const c = w[at + 2] as number;
  const d = w[at + 3] as number;
  const place = slot(a ^ (c << 1), b ^ d);
  const known = among[place];
  if (known !== undefined && known.a === a && known.b === b && known.c === c && known.d === d)
    return known.text;
  const made = make(new Uint8Array(w.buffer, w.byteOffset + 4 * at, 16));
  among[place] = { a, b, c, d, text: made };
  return made;
}

/** Addresses of one network differ in their highest bits only, pointers in their lowest. */
function slot(a: number, b: number): number {
  const mixed = Math.imul(a ^ Math.imul(b ^ (b >>> 16), 0x85ebca6b), 0x9e3779b1);
  return ((mixed >>> 22) ^ (mixed >>> 12)) & (REMEMBERED - 1);
}
