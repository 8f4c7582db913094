// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { attribute } from '../../../../src/host/netlink.ts';
import { name } from '../../../../src/host/nftables/attributes.ts';
import { droppers } from '../../../../src/host/nftables/droppers.ts';
import type { Segment } from '../../../../src/host/nftables/match.ts';
import { Changed, Nftables } from '../../../../src/host/nftables/ruleset.ts';
import { ruleText } from '../../../../src/host/nftables/text.ts';
import {
  ARRIVING_SYN,
  be32,
  bitwise,
  byteorder,
  cmp,
  counter,
  ct,
  dport,
  expression,
  kernel,
  limit,
  lookup,
  meta,
  payload,
  reject,
  type Told,
  type ToldChain,
  verdict,
  verdictData,
} from './encode.ts';

const SYN: Segment = {
  family: 4,
  saddr: Buffer.from([10, 1, 0, 2]),
  daddr: Buffer.from([10, 1, 0, 1]),
  ...ARRIVING_SYN,
};

function told(...chains: ToldChain[]): Told {
  return { generation: 1, chains };
}

const input = (...rules: Buffer[][]): ToldChain => ({ chain: 'input', hook: 1, rules });
const DROP = verdict('DROP');
const GREATER = 4;
const native32 = (value: number) => Buffer.from(new Uint32Array([value]).buffer);

/** What may have dropped it: `CHAIN HANDLE: TEXT`, or `CHAIN policy`. */
function asked(of: Told, segment: Partial<Segment> = {}): string[] {
  const rules = new Nftables(
    kernel(() => of),
    () => 0,
  );
  return droppers(rules, { ...SYN, ...segment }).map(({ chain, rule }) =>
    rule ? `${chain.chain} ${rule.handle}: ${ruleText(rule)}` : `${chain.chain} policy`,
  );
}

test('the rule that matches, and none after it', () => {
  const rules = told(
    input(
      [...dport(22), DROP],
      [...dport(80), DROP],
      [payload(1, 12, 4), cmp(Buffer.from(SYN.saddr)), DROP],
    ),
  );
  expect(asked(rules)).toEqual(['input 2: tcp dport 80 drop']);
  expect(asked(rules, { dport: 443 })).toEqual(['input 3: ip saddr 10.1.0.2 drop']);
  expect(asked(rules, { hooks: ['forward'] })).toEqual([]);
});

test('a packet’s length is told from the headers that it may have', () => {
  const longer = (bytes: number) => [meta(0), byteorder(), cmp(be32(bytes), GREATER), DROP];
  const rules = told(input(longer(2000), longer(500), longer(80), [...dport(80), DROP]));
  const [huge, large, small, any] = [
    'input 1: meta length > 2000 drop',
    'input 2: meta length > 500 drop',
    'input 3: meta length > 80 drop',
    'input 4: tcp dport 80 drop',
  ];
  expect(asked(rules)).toEqual([small, any]);
  expect(asked(rules, { payload: 300 })).toEqual([small]);
  expect(asked(rules, { payload: 450 })).toEqual([large, small]);
  expect(asked(rules, { payload: 460 })).toEqual([large, small]);
  expect(asked(rules, { payload: 461 })).toEqual([large]);
  expect(asked(rules, { payload: 1990 })).toEqual([huge]);
  expect(asked(rules, { payload: null })).toEqual([huge, large, small, any]);
  const exactly = told(input([meta(0), cmp(native32(60)), DROP], [...dport(80), DROP]));
  expect(asked(exactly)).toHaveLength(2);
  expect(asked(exactly, { payload: 21 })).toEqual([any.replace('4', '2')]);
});

test('what was accepted before is not dropped', () => {
  const rules = told(
    input([ct(0), bitwise(Buffer.from([6, 0, 0, 0])), cmp(be32(0), 1), verdict('ACCEPT')], [DROP]),
  );
  expect(asked(rules)).toEqual(['input 2: drop']);
  expect(asked(rules, { conntrack: { info: 0, status: 0 } })).toEqual([]);
  const [established] = new Nftables(
    kernel(() => rules),
    () => 0,
  ).rules({ family: 1, table: 'filter', chain: 'input', base: null });
  expect(established && ruleText(established)).toBe('ct state established,related accept');
});

test('what nobody can tell may match: both are told', () => {
  const mark = [meta(3), cmp(be32(7))];
  expect(
    asked(told(input([...mark, DROP], [...dport(80), limit(), DROP], [...dport(80), DROP]))),
  ).toEqual([
    'input 1: meta mark 0x07000000 drop',
    'input 2: tcp dport 80 limit rate over 3/second drop',
    'input 3: tcp dport 80 drop',
  ]);
  expect(asked(told(input([...mark, verdict('ACCEPT')], [DROP])))).toEqual(['input 2: drop']);
});

test('a later chain sees what was not dropped for sure', () => {
  const strict = { chain: 'strict', hook: 1, priority: 10, drops: true, rules: [] };
  const mark = [meta(3), cmp(be32(7))];
  expect(asked(told(strict, input([...dport(80), DROP])))).toEqual(['input 1: tcp dport 80 drop']);
  expect(asked(told(strict, input([...mark, DROP], [...dport(80), DROP])))).toHaveLength(2);
  expect(asked(told(strict, input([...mark, verdict('ACCEPT')], [DROP])))).toEqual([
    'input 2: drop',
    'strict policy',
  ]);
});

test('jumps, gotos and returns', () => {
  const rules = (how: 'JUMP' | 'GOTO') =>
    told(
      { ...input([...dport(80), verdict(how, 'web')], [DROP]), drops: true },
      { chain: 'web', rules: [[...dport(22), DROP], [verdict('RETURN')], [DROP]] },
    );
  expect(asked(rules('JUMP'))).toEqual(['input 2: drop']);
  expect(asked(rules('GOTO'))).toEqual(['input policy']);
});

test('sets and maps are asked for the packet’s own key', () => {
  const sets = {
    blocked: { bytes: 4, elements: { '0a010002': Buffer.alloc(0) } },
    __map0: { bytes: 2, elements: { '0050': verdictData('JUMP', 'web') } },
  };
  const chains = [
    input([payload(1, 16, 4), lookup('blocked'), DROP], [payload(2, 2, 2), lookup('__map0', 0)]),
    { chain: 'web', rules: [[payload(1, 12, 4), lookup('blocked'), DROP]] },
  ];
  const rules = { ...told(...chains), sets };
  expect(asked(rules)).toEqual(['web 1: ip saddr @blocked drop']);
  expect(asked(rules, { saddr: Buffer.from([10, 9, 9, 9]) })).toEqual([]);
  expect(asked({ ...rules, sets: {} })).toHaveLength(2);
});

test('what a set that packets fill has now, it may not have had then', () => {
  const [EVAL, TIMEOUT] = [0x20, 0x10];
  const allowed = (flags: number) => ({ allowed: { bytes: 4, flags, elements: HAS } });
  const HAS = { '0a010002': Buffer.alloc(0) };
  const rules = told(input([payload(1, 12, 4), lookup('allowed'), verdict('ACCEPT')], [DROP]));
  expect(asked({ ...rules, sets: allowed(0) })).toEqual([]);
  expect(asked({ ...rules, sets: allowed(TIMEOUT) })).toEqual([]);
  expect(asked({ ...rules, sets: allowed(EVAL) })).toEqual(['input 2: drop']);
  expect(asked({ ...rules, sets: allowed(EVAL | TIMEOUT) })).toEqual(['input 2: drop']);
});

test('what a set with timeouts does not have now, it may have had then', () => {
  const rules = told(input([payload(1, 12, 4), lookup('blocked'), DROP]));
  const blocked = (flags: number) => ({ blocked: { bytes: 4, flags, elements: {} } });
  expect(asked({ ...rules, sets: blocked(0) })).toEqual([]);
  expect(asked({ ...rules, sets: blocked(0x10) })).toEqual(['input 1: ip saddr @blocked drop']);
});

test('where a packet was, and by which devices', () => {
  const s0 = Buffer.concat([Buffer.from('s0'), Buffer.alloc(14)]);
  const rules = told({
    chain: 'forward',
    hook: 2,
    rules: [
      [meta(7), cmp(s0), DROP],
      [meta(6), cmp(Buffer.from('s')), DROP],
    ],
  });
  expect(asked(rules, { hooks: ['forward'] })).toEqual(['forward 2: iifname "s*" drop']);
  expect(asked(rules, { hooks: ['forward'], leaves_by: null, arrived_on: null })).toHaveLength(2);
});

test('the other family has its own rules', () => {
  const rules = told(
    { ...input([DROP]), family: 10 },
    { ...input([...dport(80), DROP]), family: 2, chain: 'in4' },
  );
  expect(asked(rules)).toEqual(['in4 1: tcp dport 80 drop']);
});

test('rules that answer, and those of iptables', () => {
  const tcp = Buffer.from([0, 0, 0xff, 0xff, 80, 0, 90, 0, 0, 0, 0, 0]);
  const match = (kind: string, info: Buffer) =>
    expression(
      'match',
      Buffer.from([
        kind.length + 5,
        0,
        1,
        0,
        ...Buffer.from(`${kind}\0`),
        ...Buffer.alloc((4 - ((kind.length + 1) % 4)) % 4),
      ]),
      Buffer.concat([Buffer.from([8, 0, 2, 0]), be32(0)]),
      Buffer.concat([Buffer.from([info.length + 4, 0, 3, 0]), info]),
    );
  expect(asked(told(input([...dport(80), reject(1)])))).toEqual([
    'input 1: tcp dport 80 reject with tcp reset',
  ]);
  expect(asked(told(input([match('tcp', tcp), reject(2, 3)])))).toEqual([
    'input 1: tcp dport 80-90 reject with icmpx admin-prohibited',
  ]);
  expect(asked(told(input([match('tcp', tcp), DROP])), { dport: 91 })).toEqual([]);
  expect(asked(told(input([match('recent', tcp), DROP], [DROP])))).toHaveLength(2);
});

test('a counter of nothing tells that the rule dropped nothing', () => {
  let packets = 0;
  let now_ns = 10;
  const ask = kernel(() => told(input([...dport(80), counter(packets), DROP])));
  const rules = new Nftables(ask, () => now_ns);
  const [chain] = rules.chains;
  const [rule] = chain ? rules.rules(chain) : [];
  if (!chain || !rule) throw new Error('nothing there');
  const metNothing = (ktime_ns: number) => rules.metNothing(chain, rule, ktime_ns);
  expect(metNothing(5)).toBe(true);
  // It was read before this one was dropped.
  expect(metNothing(11)).toBe(false);
  packets = 3;
  now_ns = 20;
  rules.count(chain, 15, 5);
  expect(metNothing(15)).toBe(false);
  now_ns = 24;
  rules.count(chain, 22, 5);
  expect(metNothing(22)).toBe(false);
  now_ns = 30;
  rules.count(chain, 25, 5);
  expect(metNothing(25)).toBe(true);
  expect(metNothing(15)).toBe(false);
});

test('rules that have changed are not asked for again', () => {
  let of = told(input([...dport(80), DROP]), { chain: 'forward', hook: 2, rules: [] });
  const rules = new Nftables(
    kernel(() => of),
    () => 0,
  );
  expect(droppers(rules, SYN)).toHaveLength(1);
  of = { ...of, generation: 2 };
  expect(rules.isSame()).toBe(false);
  expect(droppers(rules, SYN)).toHaveLength(1);
  expect(() => droppers(rules, { ...SYN, hooks: ['forward'] })).toThrow(Changed);
});

test('a segment of IPv6', () => {
  const address = Buffer.from('20010db8000000000000000000000002', 'hex');
  const rules = told(input([payload(1, 8, 8), cmp(address.subarray(0, 8)), ...dport(80), DROP]));
  const v6 = { family: 6, saddr: address, daddr: address } as const;
  expect(asked(rules, v6)).toEqual(['input 1: ip6 saddr 2001:db8::/64 tcp dport 80 drop']);
  expect(asked(rules, { ...v6, saddr: Buffer.alloc(16) })).toEqual([]);
});

test('TPROXY of iptables drops what no socket takes', () => {
  const info = Buffer.alloc(32);
  info.writeUInt16BE(15001, 24);
  const target = expression(
    'target',
    attribute(1, name('TPROXY')),
    attribute(2, be32(1)),
    attribute(3, info),
  );
  const mangle = (...rules: Buffer[][]): ToldChain => ({ chain: 'PREROUTING', hook: 0, rules });
  const asks = (port: number) =>
    asked(told(mangle([...dport(port), target])), { hooks: ['prerouting'] });
  expect(asks(80)).toEqual(['PREROUTING 1: tcp dport 80 TPROXY --on-port 15001']);
  expect(asks(81)).toEqual([]);
});
