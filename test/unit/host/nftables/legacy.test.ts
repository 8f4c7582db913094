// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { droppers } from '../../../../src/host/nftables/droppers.ts';
import { LegacyTables } from '../../../../src/host/nftables/legacy.ts';
import type { Segment } from '../../../../src/host/nftables/match.ts';
import { ruleText } from '../../../../src/host/nftables/text.ts';
import { addressBytes, IPV4_AT } from '../../../../src/tcp/address.ts';
import { ARRIVING_SYN } from './encode.ts';
// As a kernel (6.18) told of them.
import TABLES from './legacy.json' with { type: 'json' };

const bytesOf = (family: 4 | 6) => Buffer.from(TABLES[family], 'base64');
const tables = (family: 4 | 6, bytes = bytesOf(family)) =>
  new LegacyTables(family, new Map([['filter', bytes]]));

const SENDER = {
  4: {
    saddr: addressBytes('10.1.0.2').subarray(IPV4_AT),
    daddr: addressBytes('10.1.0.1').subarray(IPV4_AT),
  },
  6: { saddr: addressBytes('2001:db8:1::2'), daddr: addressBytes('2001:db8:1::1') },
};
const PREFIX = { 4: 'ip saddr 10.1.0.0/24', 6: 'ip6 saddr 2001:db8:1::/64' };

function asked(family: 4 | 6, segment: Partial<Segment> = {}): string[] {
  const whole: Segment = { family, ...SENDER[family], ...ARRIVING_SYN, ...segment };
  return droppers(tables(family), whole).map(({ chain, rule }) =>
    rule ? `${chain.chain} ${rule.handle}: ${ruleText(rule)}` : `${chain.chain} policy`,
  );
}

test.each([4, 6] as const)('rules of iptables-legacy are gone through (IPv%i)', (family) => {
  expect(asked(family)).toEqual([`INPUT 2: ${PREFIX[family]} tcp dport 80 drop`]);
  expect(asked(family, { conntrack: { info: 0, status: 0 } })).toEqual([]);
  expect(asked(family, { dport: 6001 })).toEqual(['inner 2: drop']);
  expect(asked(family, { dport: 22 })).toEqual(['INPUT policy']);
  expect(asked(family, { dport: 6001, arrived_on: { ifindex: 3, name: 'eth0' } })).toEqual([
    'INPUT policy',
  ]);
  expect(asked(family, { dport: 443 })).toEqual([
    'INPUT 4: tcp dport 443 comment "no more" REJECT --reject-with tcp-reset',
  ]);
  expect(asked(family, { dport: 8080 })).toEqual([
    'INPUT 5: tcp dport 8080 xt match "mark" drop',
    'INPUT policy',
  ]);
  expect(asked(family, { dport: 25 })).toEqual(['INPUT policy']);
  expect(asked(family, { dport: 26 })).toEqual([]);
  expect(asked(family, { hooks: ['forward'] })).toEqual([]);
});

test('what is counted is no change, a rule that is gone is one', () => {
  const counted = bytesOf(4);
  counted.writeBigUInt64LE(5n, 84 + 96);
  expect(tables(4, counted).follows(tables(4))).toBe(true);
  const changed = bytesOf(4);
  changed.writeUInt8(9, 84);
  expect(tables(4, changed).follows(tables(4))).toBe(false);
});

test('what is cut off is not read', () => {
  for (const length of [0, 83, 84, 200, 500]) {
    const read = () => tables(4, bytesOf(4).subarray(0, length));
    if (length < 84) expect(read).toThrow();
    else expect(read).not.toThrow(TypeError);
  }
});
