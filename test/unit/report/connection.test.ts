// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { connectionKeys } from '../../../src/report/connection.ts';
import { Handshakes } from '../../../src/report/handshakes.ts';

const flow = (saddr: string, sport: number, daddr: string, dport: number) => ({
  ...{ saddr, sport, daddr, dport, service: 0 },
});
const finding = (...connections: ReturnType<typeof flow>[]) => ({
  connections,
  flows: new Map(),
  sides: null,
});
const handshakes = (known: Record<string, string[]>) => {
  const handshakes = new Handshakes();
  const numbered = { from: '', to: '', answer: null };
  for (const [isn, all] of Object.entries(known))
    handshakes.update(isn, () => new Map(all.map((connection) => [connection, numbered])));
  return handshakes.firstNumbers();
};

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

test('so they do by what the event itself tells of either end', () => {
  const end = (address: string, port: number, isn: number | null) => ({ address, port, isn });
  const sides = { local: end('10.0.0.2', 40000, 17), peer: end('10.0.0.1', 80, 18), source: null };
  expect(connectionKeys({ ...finding(CLIENT), sides }, handshakes({ '17': [KEY] }))).toEqual([
    KEY,
    'isn 17',
    'isn 18',
  ]);
});

test('a connection that no other host sees is known by its first number only', () => {
  const inside = flow('127.0.0.1', 40000, '127.0.0.2', 80);
  const forwarded = flow('10.0.0.2', 40000, '127.0.0.1', 80);
  const listener = flow('10.0.0.1', 80, '0.0.0.0', 0);
  const numbers = handshakes({ '17': ['10.0.0.2:40000 127.0.0.1:80'] });
  expect(connectionKeys(finding(inside, flow('::1', 1, '::1', 2), listener), numbers)).toEqual([]);
  expect(connectionKeys(finding(forwarded), numbers)).toEqual(['isn 17']);
});

test('the newest 20 connections that a finding kept are of them, the newest first', () => {
  const kept = Array.from({ length: 30 }, (_, at) => flow('10.0.0.3', at + 1, '10.0.0.1', 80));
  const flows = new Map(
    [...kept, flow('10.0.0.1', 80, '0.0.0.0', 0)].map((one, at) => [
      String(at),
      { flow: one, text: '', count: 1, last_ns: at },
    ]),
  );
  const keys = connectionKeys({ ...finding(CLIENT), flows }, NOTHING);
  expect(keys).toHaveLength(20);
  expect(keys.slice(0, 3)).toEqual([KEY, '10.0.0.1:80 10.0.0.3:30', '10.0.0.1:80 10.0.0.3:29']);
});
