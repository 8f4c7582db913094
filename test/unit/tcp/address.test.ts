// SPDX-License-Identifier: Apache-2.0

import { isIP, isIPv6 } from 'node:net';
import { describe, expect, test } from 'vitest';
import {
  addressBytes,
  addressText,
  familyOf,
  IPV4_AT,
  parseAddress,
  putIpv4,
} from '../../../src/tcp/address.ts';
import { random } from '../diagnose/random.ts';

describe('addresses', () => {
  test.each([
    ['00000000000000000000ffff0a041a2d', '10.4.26.45'],
    ['00000000000000000000ffff00000000', '0.0.0.0'],
    ['00000000000000000000ffffffffffff', '255.255.255.255'],
    ['00000000000000000000000000000000', '::'],
    ['00000000000000000000000000000001', '::1'],
    ['20010db8000000000000000000000001', '2001:db8::1'],
    ['20010db8000000000001000000000001', '2001:db8::1:0:0:1'],
    // RFC 5952, 4.2: the longest run, of equal ones the first; no run of one; small letters; no zeros
    // in front.
    ['20010db8000000000000000000020001', '2001:db8::2:1'],
    ['20010db8000000010001000100010001', '2001:db8:0:1:1:1:1:1'],
    ['20010000000000010000000000000001', '2001:0:0:1::1'],
    ['20010db8000000000001000000000000', '2001:db8:0:0:1::'],
    ['20010db8aaaabbbbccccddddeeee0001', '2001:db8:aaaa:bbbb:cccc:dddd:eeee:1'],
    ['00010000000000000000000000000000', '1::'],
    ['fe80000000000000000000000a0b0c0d', 'fe80::a0b:c0d'],
    ['0000000000000000fffe0a041a2d0000', '::fffe:a04:1a2d:0'],
    ['00000000000000000001ffff0a041a2d', '::1:ffff:a04:1a2d'],
  ])('%s is %s', (hex, text) => {
    expect(addressText(Buffer.from(hex, 'hex'))).toBe(text);
  });

  test('of another length are none', () => {
    expect(addressText(Buffer.alloc(4))).toBe('');
    expect(addressText(Buffer.alloc(0))).toBe('');
  });

  test('are read back as they were, in the shortest form', () => {
    const next = random(1);
    for (let i = 0; i < 2000; i++) {
      // Mostly zeros, so that there are runs.
      const words = Array.from({ length: 8 }, () =>
        next() < 0.6 ? 0 : Math.floor(next() * 0x10000),
      );
      const bytes = Buffer.alloc(16);
      words.forEach((word, at) => bytes.writeUInt16BE(word, 2 * at));
      const text = addressText(bytes);
      expect(Buffer.from(addressBytes(text))).toEqual(bytes);
      if (isIPv6(text)) expect(text).toBe(new URL(`http://[${text}]`).hostname.slice(1, -1));
    }
  });
});

describe('a text', () => {
  test('in any of its forms is that address', () => {
    const bytes = addressBytes('10.0.0.5');
    for (const text of ['::ffff:10.0.0.5', '::FFFF:a00:5', '0:0:0:0:0:ffff:0a00:0005'])
      expect(addressBytes(text)).toEqual(bytes);
    expect(addressText(addressBytes('64:ff9b::192.0.2.1'))).toBe('64:ff9b::c000:201');
  });

  test('is an address where Node says so, and of that family', () => {
    const next = random(2);
    const pick = (of: readonly string[]) => of[Math.floor(next() * of.length)] ?? '';
    const parts = [
      ':',
      ':',
      '::',
      '.',
      '0',
      '1',
      '255',
      '256',
      '01',
      'db8',
      'fffff',
      'g',
      '%lo',
      '',
    ];
    const whole = [
      '2001:db8::1',
      '10.0.0.5',
      '::',
      '1:2:3:4:5:6:7:8',
      '::ffff:10.0.0.5',
      '1:2:3:4:5:6:7::',
    ];
    const seen = [0, 0, 0, 0, 0, 0, 0];
    for (let i = 0; i < 20_000; i++) {
      const start = pick(whole);
      const at = Math.floor(next() * (start.length + 1));
      const text = `${start.slice(0, at)}${pick(parts)}${start.slice(at + Math.floor(next() * 3))}`;
      // A zone is no part of an address here.
      const family = text.includes('%') ? 0 : isIP(text);
      expect([text, parseAddress(text) ? familyOf(text) : 0]).toEqual([text, family]);
      seen[family] = (seen[family] ?? 0) + 1;
    }
    expect(Math.min(seen[0] ?? 0, seen[4] ?? 0, seen[6] ?? 0)).toBeGreaterThan(100);
  });

  test('a dotted one is put anywhere as the same four bytes', () => {
    const next = random(1);
    const part = () => Math.floor(next() * 256);
    for (let i = 0; i < 1000; i++) {
      const text = [part(), part(), part(), part()].join('.');
      const bytes = Buffer.alloc(6, 0xaa);
      putIpv4(text, bytes, 1);
      expect([...bytes]).toEqual([0xaa, ...addressBytes(text).subarray(IPV4_AT), 0xaa]);
    }
  });

  test('that is none is refused', () => {
    expect(() => addressBytes('web')).toThrow(TypeError);
  });
});
