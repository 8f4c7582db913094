// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { connectionKeys, firstNumbers } from '../../../src/report/connection-id.ts';

const flow = (saddr: string, sport: number, daddr: string, dport: number) => ({
  ...{ saddr, sport, daddr, dport, service: 0 },
});
const finding = (...connections: ReturnType<typeof flow>[]) => ({
  connections,
  flows: new Map(),
});
const handshakes = (known: Record<string, string[]>) =>
  firstNumbers({
    handshakes: { entries: () => Object.entries(known).map(([isn, all]) => [isn, new Set(all)]) },
  } as never);

const NOTHING = handshakes({});
const CLIENT = flow('10.0.0.2', 40000, '10.0.0.1', 80);
const KEY = '10.0.0.1:80 10.0.0.2:40000';

test('both ends call a connection the same', () => {
  const server = flow('10.0.0.1', 80, '10.0.0.2', 40000);
  expect(connectionKeys(finding(CLIENT), NOTHING)).toEqual([KEY]);
  expect(connectionKeys(finding(server), NOTHING)).toEqual([KEY]);
  const six = flow('2001:db8::1', 80, '2001:db8::2', 40000);
  expect(connectionKeys(finding(six), NOTHING)).toEqual(['[2001:db8::1]:80 [2001:db8::2]:40000']);
});

test('behind a translation they have the first number in common, and where one has none the ends', () => {
  const translated = '10.1.0.1:443 192.0.2.9:50000';
  const here = connectionKeys(finding(CLIENT), handshakes({ '853654705': [KEY] }));
  const there = connectionKeys(
    finding(flow('10.1.0.1', 443, '192.0.2.9', 50000)),
    handshakes({ '853654705': [translated] }),
  );
  expect(here).toEqual([KEY, 'isn 853654705']);
  expect(there).toEqual([translated, 'isn 853654705']);
  expect(connectionKeys(finding(CLIENT), NOTHING).filter((key) => here.includes(key))).toEqual([
    KEY,
  ]);
});

test('a number that somebody chose for many connections says nothing', () => {
  const many = Array.from({ length: 20 }, (_, at) => `10.0.0.1:80 10.0.0.2:${40000 + at}`);
  expect(connectionKeys(finding(CLIENT), handshakes({ '1': many }))).toEqual([KEY]);
});

test('every connection that a finding kept is one of them, and a listener none', () => {
  const listener = flow('10.0.0.1', 80, '0.0.0.0', 0);
  const flows = new Map([['10.0.0.3:40001 → 10.0.0.1:80', {} as never]]);
  expect(connectionKeys({ connections: [listener, CLIENT], flows }, NOTHING)).toEqual([
    KEY,
    '10.0.0.1:80 10.0.0.3:40001',
  ]);
});
