// SPDX-License-Identifier: Apache-2.0

import { attribute } from '../netlink.ts';

/** Attributes as nf_tables has them: numbers are of the network's byte order. */

const NLA_F_NESTED = 0x8000;

export function nested(type: number, ...inner: Buffer[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(inner));
}

export function name(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}

/** Up to the first byte of zero, in one line. */
export function string(value: Buffer | undefined): string {
  const whole = value?.toString('utf8').replace(/\0.*$/s, '') ?? '';
  return whole.replace(/\p{Cc}/gu, ' ');
}

/** 0 where it is not there. */
export function big(value: Buffer | undefined): number {
  return value && value.length >= 4 ? value.readUInt32BE(0) : 0;
}

export function big64(value: Buffer | undefined): bigint {
  return value && value.length >= 8 ? value.readBigUInt64BE(0) : 0n;
}
