// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { RuleFacts } from '../../../src/source/rule-facts.ts';
import { addressBytes } from '../../../src/tcp/address.ts';
import { TCP_FLAG } from '../../../src/tcp/flags.ts';
import { decodeEvent } from '../../../src/wire/decode.ts';
import { FrameReader } from '../../../src/wire/frames.ts';
import { AT, BODY, WRITTEN } from '../../../src/wire/written.gen.ts';
import {
  bitwise,
  cmp,
  ct,
  dport,
  expression,
  kernel,
  meta,
  payload,
  port,
  reject,
  type Told,
  type ToldChain,
  verdict,
} from '../host/nftables/encode.ts';
import TABLES from '../host/nftables/legacy.json' with { type: 'json' };

/** The first rules' counters, of a table of IPv4. */
function legacyTable(...packets: number[]): Buffer {
  const bytes = Buffer.from(TABLES[4], 'base64');
  let at = 84;
  for (const met of packets) {
    bytes.writeBigUInt64LE(BigInt(met), at + 96);
    at += bytes.readUInt16LE(at + 90);
  }
  return bytes;
}

const layout = WRITTEN[19];
const BY_NETFILTER = 2;
const UNTRACKED = 7;
const NO_ENTRY = 8;
const INPUT_ROUTE = 1;

interface Dropped {
  ktime_ns: number;
  port?: number;
  rejected?: number;
  reason?: number;
  /** Devices that it came in by, leaves by, and that its route leads to. */
  places?: { ifindex: number; leaves: number; route: number };
  flags?: number;
  /** As connection tracking has it. */
  info?: number;
}

/** The record of a SYN that came in for this host. */
function record({
  ktime_ns,
  port = 80,
  rejected = 0,
  reason = BY_NETFILTER,
  places = { ifindex: 2, leaves: 0, route: INPUT_ROUTE },
  flags = TCP_FLAG.syn,
  info = 0,
}: Dropped) {
  const w = new Int32Array(layout.words);
  const bytes = Buffer.from(w.buffer);
  const packet = BODY + AT.Drop.packet;
  const flow = packet + AT.Packet.flow;
  w[BODY + AT.Drop.reason] = reason;
  w[BODY + AT.Drop.rejected] = rejected;
  w[BODY + AT.Drop.route_ifindex] = places.route;
  w[BODY + AT.Drop.leaves_ifindex] = places.leaves;
  bytes.set(addressBytes('10.1.0.2'), 4 * (flow + AT.Flow.saddr));
  bytes.set(addressBytes('10.1.0.1'), 4 * (flow + AT.Flow.daddr));
  w[flow + AT.Flow.sport] = 40_000;
  w[flow + AT.Flow.dport] = port;
  w[packet + AT.Packet.flags] = flags;
  w[BODY + AT.Drop.conntrack + AT.Conntrack.info] = info;
  w[packet + AT.Packet.ifindex] = places.ifindex;
  bytes.writeBigUInt64LE(BigInt(ktime_ns), 4 * AT.Event.ktime_ns);
  w[AT.Event.netns] = 7;
  return w;
}

const input = (...rules: Buffer[][]): ToldChain => ({ chain: 'input', hook: 1, rules });
const sport = (number: number) => [payload(2, 0, 2), cmp(port(number))];
const DROP = [...dport(80), verdict('DROP')];

function finder(
  first: Told,
  { symbol = 'nft_do_chain', legacy = [] as string[], table = null as Buffer | null } = {},
) {
  let told = first;
  let now_ns = 0;
  let legacyTable = table;
  let takes_ns = 0;
  let is_gone = false;
  const asked: number[] = [];
  const facts = new RuleFacts(
    {
      isByNetfilter: (reason) => reason === BY_NETFILTER,
      symbol: () => symbol,
      frees: true,
      ask: () => {
        const answers = kernel(() => told, asked);
        return is_gone
          ? null
          : (requests) => {
              now_ns += takes_ns;
              return answers(requests);
            };
      },
      deviceName: (_, ifindex) => `eth${ifindex}`,
      legacyTables: () => legacy,
      legacyTable: () => legacyTable,
      now_ns: () => now_ns,
    },
    () => now_ns / 1e6,
  );
  return {
    asked,
    facts,
    of(dropped: Dropped) {
      now_ns = Math.max(now_ns, dropped.ktime_ns + 1e6);
      const frames = new FrameReader().push(Buffer.concat(facts.of(record(dropped), 0, layout)));
      return [...frames].flatMap(({ bytes }) => {
        const event = decodeEvent(bytes);
        return event?.kind === 'fact' && event.body.drop_rules ? [event.body.drop_rules] : [];
      });
    },
    change(to: Told) {
      told = to;
    },
    changeLegacy(to: Buffer) {
      legacyTable = to;
    },
    slow(ns: number) {
      takes_ns = ns;
    },
    gone() {
      is_gone = true;
    },
  };
}

test('a drop by netfilter has its rule told once, others ask for nothing', () => {
  const { of, asked, facts } = finder({ generation: 1, chains: [input(DROP)] });
  expect(of({ ktime_ns: 1e6, reason: 3 })).toEqual([]);
  expect(asked).toEqual([]);
  expect(of({ ktime_ns: 2e6 })).toMatchObject([
    { netns: 7, rules: [{ chain: 'input', handle: '1', text: 'tcp dport 80 drop', answer: 0 }] },
  ]);
  const before = asked.length;
  expect(of({ ktime_ns: 2.5e6 })).toEqual([]);
  expect(asked).toHaveLength(before);
  facts.forget();
  expect(of({ ktime_ns: 2.6e6 })).toHaveLength(1);
  expect(of({ ktime_ns: 2.7e6, port: 81 })).toMatchObject([{ rules: [] }]);
});

test('where the rules have changed meanwhile it may be a rule of either', () => {
  const both = { generation: 2, chains: [input([...dport(80), reject(2)], DROP)] };
  const { of, change } = finder({ generation: 1, chains: [input(DROP)] });
  expect(of({ ktime_ns: 1e6 })).toMatchObject([{ rules: [{ handle: '1' }] }]);
  change(both);
  expect(of({ ktime_ns: 100e6 })).toMatchObject([
    { rules: [{ text: 'tcp dport 80 drop' }, { answer: 2 }] },
  ]);
  expect(of({ ktime_ns: 200e6 })).toMatchObject([{ rules: [{ answer: 2 }] }]);
});

test('where they changed twice meanwhile it may be a rule that nobody has seen', () => {
  const { of, change } = finder({ generation: 1, chains: [input(DROP)] });
  expect(of({ ktime_ns: 1e6 })).toHaveLength(1);
  change({ generation: 3, chains: [input([...dport(80), reject(2)])] });
  expect(of({ ktime_ns: 100e6 })).toEqual([]);
  expect(of({ ktime_ns: 200e6 })).toMatchObject([{ rules: [{ answer: 2 }] }]);
});

test('a rule that drops what is NEW in the middle of a connection may drop anything, or that alone', () => {
  const of = (...rules: Buffer[][]) =>
    finder({ generation: 1, chains: [input(...rules)] }).of({ ktime_ns: 1e6, flags: 16, info: 2 });
  expect(of(DROP)).toMatchObject([{ rules: [{ regardless: 1 }] }]);
  const isNew = [ct(0), bitwise(Buffer.from([8, 0, 0, 0])), cmp(Buffer.from([0, 0, 0, 0]), 1)];
  expect(of([...isNew, verdict('DROP')])).toMatchObject([{ rules: [{ regardless: 0 }] }]);
});

test('a packet that was answered was so by a rule that answers', () => {
  const chains = [input([...dport(80), reject(1)], DROP)];
  const { of } = finder({ generation: 1, chains });
  expect(of({ ktime_ns: 1e6, rejected: 1 })).toMatchObject([{ rules: [{ answer: 1 }] }]);
  expect(of({ ktime_ns: 2e6, rejected: 2 })).toMatchObject([{ rules: [] }]);
});

test('what a rule rejects has the route of the answer, or the device of loopback, by then', () => {
  const rules = [[...dport(80), reject(0)]];
  const chains = [
    { chain: 'before', hook: 0, rules },
    { chain: 'out', hook: 3, rules },
  ];
  const at = (places: Dropped['places'], rejected = 2) =>
    finder({ generation: 1, chains }).of({ ktime_ns: 1e6, rejected, places });
  expect(at({ ifindex: 2, leaves: 0, route: 2 })).toMatchObject([{ rules: [{ chain: 'before' }] }]);
  expect(at({ ifindex: 0, leaves: 1, route: 2 })).toMatchObject([{ rules: [{ chain: 'out' }] }]);
  expect(at({ ifindex: 2, leaves: 0, route: 2 }, 0)).toMatchObject([{ rules: [] }]);
});

test('what a bridge passes on may have met rules of IP, to which it passes by the bridge', () => {
  const chains = ['before', 'in', 'between', 'out', 'after'].map((chain, hook) => ({
    ...{ chain, hook },
    rules: [DROP],
  }));
  const at = (places: Dropped['places']) =>
    finder({ generation: 1, chains })
      .of({ ktime_ns: 1e6, places })
      .flatMap(({ rules }) => rules.map(({ chain }) => chain));
  expect(at({ ifindex: 3, leaves: 2, route: 0 })).toEqual(['before', 'between', 'after']);
  expect(at({ ifindex: 3, leaves: 4, route: 2 })).toEqual(['between', 'after']);
  expect(at({ ifindex: 3, leaves: 4, route: 4 })).toEqual(['after']);
});

test('what nf_tables does not free is none of its rules', () => {
  const chains = { generation: 1, chains: [input(DROP)] };
  expect(finder(chains, { symbol: 'nf_hook_slow' }).of({ ktime_ns: 1e6 })).toEqual([]);
  const legacy = finder(chains, { symbol: 'nf_hook_slow', legacy: ['filter'] });
  expect(legacy.of({ ktime_ns: 1e6 })).toMatchObject([{ rules: [], legacy_tables: ['filter'] }]);
});

test('a host on which it takes long is asked less often, a namespace that is gone not at all', () => {
  const { of, asked, slow, gone } = finder({ generation: 1, chains: [input(DROP)] });
  slow(400e6);
  expect(of({ ktime_ns: 1e6 })).toHaveLength(1);
  const before = asked.length;
  expect(of({ ktime_ns: 3e9, port: 81 })).toEqual([]);
  expect(asked).toHaveLength(before);
  gone();
  expect(of({ ktime_ns: 60e9, port: 81 })).toEqual([]);
});

const LEGACY = { symbol: 'nf_hook_slow', legacy: ['filter'] };
const NO_RULES = { generation: 1, chains: [] };

test('the rule of iptables-legacy is told by its number', () => {
  const { of } = finder(NO_RULES, { ...LEGACY, table: legacyTable(0, 1) });
  expect(of({ ktime_ns: 1e6 })).toMatchObject([
    {
      rules: [{ family: 'iptables-legacy', table: 'filter', chain: 'INPUT', handle: '2' }],
      legacy_tables: [],
    },
  ]);
});

test('a rule of iptables-legacy that has met nothing is not told', () => {
  const { of, changeLegacy } = finder(NO_RULES, { ...LEGACY, table: legacyTable(0, 0) });
  expect(of({ ktime_ns: 1e6 })).toMatchObject([{ rules: [], legacy_read: ['filter'] }]);
  changeLegacy(legacyTable(0, 3));
  expect(of({ ktime_ns: 10e6 })).toMatchObject([{ rules: [{ handle: '2' }] }]);
  // Another took it, which is gone.
  expect(of({ ktime_ns: 20e6, rejected: 1 })).toMatchObject([{ rules: [] }]);
});

test('where rules of iptables-legacy have just changed nothing is told', () => {
  const { of, changeLegacy } = finder(NO_RULES, { ...LEGACY, table: legacyTable(0, 1) });
  expect(of({ ktime_ns: 1e6 })).toHaveLength(1);
  const changed = legacyTable(0, 2);
  changed.writeUInt8(9, 84);
  changeLegacy(changed);
  expect(of({ ktime_ns: 100e6, port: 81 })).toEqual([]);
});

test('tables of iptables-legacy that cannot be read are named', () => {
  const { of } = finder(NO_RULES, LEGACY);
  expect(of({ ktime_ns: 1e6 })).toMatchObject([{ rules: [], legacy_tables: ['filter'] }]);
});

test('of what is INVALID the rules are told that keep connection tracking from its handshake', () => {
  const notrack = (...match: Buffer[]) => [...match, expression('notrack')];
  const drops = input([verdict('DROP')]);
  const at = (chain: ToldChain, packet: Partial<Dropped> = { info: NO_ENTRY }) =>
    finder({ generation: 1, chains: [drops, chain] }).of({
      ...{ ktime_ns: 1e6, flags: TCP_FLAG.ack },
      ...packet,
    });
  const raw = (hook: number, ...rules: Buffer[][]): ToldChain => ({
    ...{ chain: 'raw', hook, priority: -300, rules },
  });
  const PREROUTING = 0;
  const OUTPUT = 3;
  expect(at(raw(PREROUTING, notrack(...dport(80))))).toMatchObject([
    { untracked: [{ chain: 'raw', text: 'tcp dport 80 notrack' }], untracked_surely: 1 },
  ]);
  expect(at(raw(OUTPUT, notrack(...sport(80))))).toMatchObject([
    { untracked: [{ hook: 'output', text: 'tcp sport 80 notrack' }], untracked_surely: 1 },
  ]);
  // What leaves this host for that port is no part of the connection, nor is what was accepted before.
  expect(at(raw(OUTPUT, notrack(...dport(80))))).toMatchObject([{ untracked: [] }]);
  const accepts = [...dport(80), verdict('ACCEPT')];
  expect(at(raw(PREROUTING, accepts, notrack()))).toMatchObject([{ untracked: [] }]);
  // Which device an answer leaves by is not known.
  expect(at(raw(OUTPUT, notrack(meta(5), cmp(Buffer.from([9, 0, 0, 0])))))).toMatchObject([
    { untracked: [{ text: 'oif "eth9" notrack' }], untracked_surely: 0 },
  ]);
  expect(at(raw(PREROUTING, notrack(...dport(80))), {})).toMatchObject([{ untracked: [] }]);
});

test('of what is not tracked the rules are told that say so, and whether one drops it for that', () => {
  const raw: ToldChain = {
    ...{ chain: 'raw', hook: 0, priority: -300 },
    rules: [[...dport(80), expression('notrack')]],
  };
  const at = (...rules: Buffer[][]) =>
    finder({ generation: 1, chains: [raw, input(...rules)] }).of({
      ...{ ktime_ns: 1e6, flags: TCP_FLAG.syn, info: UNTRACKED },
    });
  const by = { untracked: [{ chain: 'raw', text: 'tcp dport 80 notrack' }], untracked_surely: 1 };
  expect(at([verdict('DROP')])).toMatchObject([{ ...by, rules: [{ regardless: 1 }] }]);
  const established = [ct(0), bitwise(Buffer.from([2, 0, 0, 0])), cmp(Buffer.alloc(4), 1)];
  const known = [...established, verdict('ACCEPT')];
  expect(at(known, [verdict('DROP')])).toMatchObject([{ ...by, rules: [{ regardless: 0 }] }]);
});
