// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { DropRulesTold } from '../../../src/known/drop-rules.ts';
import { addressBytes } from '../../../src/tcp/address.ts';
import { eventFromJson } from '../../../src/wire/decode.ts';

const base64 = (address: string) => Buffer.from(addressBytes(address)).toString('base64');
const [SYN, ACK] = [2, 16];

function flow(sport: number, saddr = '10.0.0.1') {
  return { saddr: base64(saddr), daddr: base64('10.0.0.2'), sport, dport: 80, service: 2 };
}

function rules(sport: number, handles: number[]) {
  const each = handles.map((handle) => ({ family: 'inet', table: 't', chain: 'c', handle }));
  const drop_rules = { netns: 7, flow: flow(sport), flags: SYN, ifindex: 2, rules: each };
  return eventFromJson({ ktime_ns: '1', fact: { drop_rules } });
}

function dropped(sport: number, { flags = SYN, saddr = '10.0.0.1', ktime_ns = 2e9 } = {}) {
  const packet = { flow: flow(sport, saddr), flags, ifindex: 2 };
  return eventFromJson({ ktime_ns: `${ktime_ns}`, netns: 7, drop: { reason: 1, packet } });
}

test('where rules were not read for a packet those of one that differs in the client’s port alone count', () => {
  const told = new DropRulesTold();
  told.learn(rules(1000, [5]));
  expect(told.of(dropped(1001))).toBe(null);
  told.learn(dropped(1000));
  expect(told.of(dropped(1000))).toMatchObject({ rules: [{ handle: '5' }], of_another: false });
  expect(told.of(dropped(1001))).toMatchObject({ rules: [{ handle: '5' }], of_another: true });
  expect(told.of(dropped(1001, { flags: ACK }))).toBe(null);
  expect(told.of(dropped(1001, { saddr: '10.0.0.3' }))).toBe(null);
  expect(told.of(dropped(1001, { ktime_ns: 60e9 }))).toBe(null);
});

test('that it was none of the rules is told of no other packet', () => {
  const told = new DropRulesTold();
  told.learn(rules(1000, []));
  told.learn(dropped(1000));
  expect(told.of(dropped(1000))).toMatchObject({ rules: [] });
  expect(told.of(dropped(1001))).toBe(null);
});
