// SPDX-License-Identifier: Apache-2.0

import { addressBytes, familyOf, IPV4_AT, parseAddress } from './address.ts';

/** Addresses that share the first `bits` with this one: of 32, or of 128. */
export interface Net {
  address: string;
  bits: number;
}

/** An address, or a network with the length of its prefix: `10.0.0.0/8`. Null: neither; throws RangeError for too long a prefix. */
export function parseNet(text: string): Net | null {
  const [address = '', length, more] = text.split('/');
  if (!parseAddress(address) || more !== undefined) return null;
  if (length !== undefined && !/^\d+$/.test(length)) return null;
  const most = longest(address);
  const bits = length === undefined ? most : Number(length);
  if (bits > most)
    throw new RangeError(`${text}: the prefix of such a network has 0 to ${most} bits`);
  return { address, bits };
}

/** Whether it is a single address. */
export function isHost({ address, bits }: Net): boolean {
  return bits === longest(address);
}

const longest = (address: string) => (familyOf(address) === 4 ? 32 : 128);

/** A prefix of 16 bytes, and which of their bits it is. */
export interface Prefix {
  address: Uint8Array;
  mask: Uint8Array;
}

export function prefixOf({ address, bits }: Net): Prefix {
  const length = familyOf(address) === 4 ? 8 * IPV4_AT + bits : bits;
  const mask = Uint8Array.from({ length: 16 }, (_, i) => {
    const ones = Math.min(8, Math.max(0, length - 8 * i));
    return 0xff << (8 - ones);
  });
  return { address: addressBytes(address).map((byte, i) => byte & (mask[i] ?? 0)), mask };
}

export function isWithin(bytes: Uint8Array, { address, mask }: Prefix): boolean {
  return bytes.every((byte, i) => (byte & (mask[i] ?? 0)) === address[i]);
}

/** Whether a network of IPv6 has all of ::ffff:0.0.0.0/96 in it. */
export function holdsIPv4(net: Net): boolean {
  return net.bits < 8 * IPV4_AT && isWithin(addressBytes('0.0.0.0'), prefixOf(net));
}
