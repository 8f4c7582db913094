// SPDX-License-Identifier: Apache-2.0

export type Family = 4 | 6;

/** Of the text of an address. */
export function familyOf(address: string): Family {
  return address.includes(':') ? 6 : 4;
}

/** With brackets around IPv6, as ss and URLs want it. */
export function bracketed(address: string): string {
  return familyOf(address) === 6 ? `[${address}]` : address;
}

/** Where IPv4 begins among the 16 bytes. */
export const IPV4_AT = 12;
const DOTTED = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;

/** In 16 bytes; IPv4 as ::ffff:a.b.c.d. Null: the text is no address. */
export function parseAddress(text: string): Uint8Array | null {
  const words = text.includes(':') ? ipv6Words(text) : ipv4Words(text, [0, 0, 0, 0, 0, 0xffff]);
  if (words?.length !== 8) return null;
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}

/** The same of what has to be an address. */
export function addressBytes(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (!bytes) throw new TypeError(`${text} is no address`);
  return bytes;
}

const DOT = 0x2e;
const ZERO = 0x30;

/** The four bytes of what is known to be a dotted address, at `at`: fifty times as fast as parseAddress(). */
export function putIpv4(text: string, to: Uint8Array, at: number): void {
  let end = at;
  let byte = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code !== DOT) byte = 10 * byte + code - ZERO;
    else {
      to[end++] = byte;
      byte = 0;
    }
  }
  to[end] = byte;
}

/** 16 bytes as people write them: IPv4 (::ffff:a.b.c.d) dotted, IPv6 after RFC 5952. Empty where they are not 16. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length !== 16) return '';
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  // ::ffff:0.0.0.0/96 is IPv4.
  if (view.getUint32(8) === 0xffff && view.getUint32(4) === 0 && view.getUint32(0) === 0)
    return `${bytes[12]}.${bytes[13]}.${bytes[14]}.${bytes[15]}`;
  const words = Array.from({ length: 8 }, (_, index) => view.getUint16(2 * index));
  let start = 0;
  let length = 0;
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && words[to] === 0) to++;
    if (to - from > length) [start, length] = [from, to - from];
  }
  const hex = words.map((word) => word.toString(16));
  if (length < 2) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}

/** `before`, and the two words of a dotted address. Null: it is none. */
function ipv4Words(text: string, before: readonly number[]): number[] | null {
  const parts = DOTTED.exec(text);
  if (!parts) return null;
  const [a = 0, b = 0, c = 0, d = 0] = parts.slice(1).map(Number);
  return Math.max(a, b, c, d) > 0xff ? null : [...before, (a << 8) | b, (c << 8) | d];
}

function ipv6Words(text: string): number[] | null {
  const [head = '', tail, more] = text.split('::');
  if (more !== undefined) return null;
  const first = wordsOf(head, tail === undefined);
  if (tail === undefined || !first) return first;
  const last = wordsOf(tail, true);
  const zeros = 8 - first.length - (last?.length ?? 0);
  return last && zeros > 0 ? [...first, ...Array<number>(zeros).fill(0), ...last] : null;
}

/** Those of one side of `::`; its end may be dotted where it is that of the address. */
function wordsOf(text: string, isEnd: boolean): number[] | null {
  if (text === '') return [];
  const parts = text.split(':');
  const dotted = isEnd && parts.at(-1)?.includes('.') ? parts.pop() : undefined;
  if (!parts.every((part) => /^[0-9a-f]{1,4}$/i.test(part))) return null;
  const words = parts.map((part) => Number.parseInt(part, 16));
  return dotted === undefined ? words : ipv4Words(dotted, words);
}

/** Of the namespace that it is seen in, and of no other. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

/** Of IPv6, and good on one segment only. */
export function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(address);
}

export function isMulticast(address: string): boolean {
  if (familyOf(address) === 6) return /^ff[0-9a-f]{2}:/.test(address);
  const first = Number(address.split('.')[0]);
  return first >= 224 && first <= 239;
}

/** What a socket has for its own address until it has one. */
export const isAny = (address: string) => address === '0.0.0.0' || address === '::';
