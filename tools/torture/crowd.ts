// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/torture/crowd.ts WHAT COUNT FILE

import { closeSync, openSync, writeSync } from 'node:fs';
import { zstdCompressSync } from 'node:zlib';
import { encodeEvent, encodeHeader } from '../../src/wire/decode.ts';
import { headerWith, type Json, readFixture } from '../../test/unit/causes/fixture.ts';

const AT_ONCE = 1000;
const STEP_NS = 1e5;
const PORT = 0xabcd;
const ONE = Buffer.from('0000000000000000000000000a5a5a01', 'hex').fill(0xff, 10, 12);
const OTHER = Buffer.from('0000000000000000000000000a5a5a02', 'hex').fill(0xff, 10, 12);
const TIME = 0x0123456789abcdefn;
const KEY = 0x1123456789abcdefn;
const NETNS = 0x21234567;

/** Where in an event the bytes of each value stand. */
interface Template {
  bytes: Buffer;
  at: Record<'one' | 'other' | 'port' | 'time' | 'key' | 'netns', number[]>;
}

/** What differs from one event to the next. */
export const CROWDS = {
  services: { of: [['no-listener', 'fires']], differs: ['other'] },
  ports: { of: [['no-listener', 'fires']], differs: ['other', 'port'] },
  clients: { of: [['no-listener', 'fires']], differs: ['one'] },
  namespaces: { of: [['no-listener', 'fires']], differs: ['netns'] },
  causes: {
    of: [
      ['no-listener', 'fires'],
      ['bridge-drop', 'fires'],
      ['malformed-packet', 'fires-skb-csum'],
      ['receive-buffer-full', 'fires'],
      ['syn-dropped-one-of', 'fires'],
      ['tunnel-drop', 'fires'],
    ],
    differs: ['one', 'other', 'netns'],
  },
} as const satisfies Record<
  string,
  { of: readonly (readonly [string, string])[]; differs: readonly (keyof Template['at'])[] }
>;

/** A recording of so many events that have nothing in common but their causes, as parts of its stream. */
export function* crowd(what: keyof typeof CROWDS, count: number, ticks = true): Generator<Buffer> {
  const { of, differs } = CROWDS[what];
  const fixtures = of.map(([cause, name]) => readFixture(cause, name));
  const enums = fixtures.flatMap(({ header }) => header.enums);
  const names = [...new Set(enums.map(({ name }) => name))].map((name) => ({
    name,
    names: Object.assign({}, ...enums.filter((one) => one.name === name).map((one) => one.names)),
  }));
  yield Buffer.from(encodeHeader(headerWith({ enums: names })));
  const templates = fixtures.map(({ events }) => templateOf(events));
  for (let from = 0; from < count; from += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, i) => {
      const number = from + i;
      return made(templates[number % templates.length] as Template, number, differs);
    });
    const ktime_ns = 1e9 + (from + AT_ONCE) * STEP_NS;
    yield Buffer.concat([...some, ...(ticks ? [encodeEvent({ ktime_ns, tick: {} })] : [])]);
  }
  yield Buffer.from(encodeEvent({ ktime_ns: 2e9 + count * STEP_NS, footer: { end: 'time' } }));
}

function templateOf(events: readonly Json[]): Template {
  const event = structuredClone(
    events.find((one) => !one.fact && !one.socket && !one.tick && !one.state_change),
  ) as Json;
  Object.assign(event, { ktime_ns: String(TIME), key: String(KEY), netns: NETNS, occurrences: 1 });
  const [first] = flowsIn(event);
  const { saddr, dport, sport } = first as Json;
  const service = Math.min(Number(sport), Number(dport));
  for (const flow of flowsIn(event)) {
    for (const end of ['saddr', 'daddr'])
      flow[end] = (flow[end] === saddr ? ONE : OTHER).toString('base64');
    for (const port of ['sport', 'dport']) if (flow[port] === service) flow[port] = PORT;
  }
  const bytes = Buffer.from(encodeEvent(event));
  const fixed = (value: number | bigint) => {
    const buffer = Buffer.alloc(typeof value === 'bigint' ? 8 : 4);
    if (typeof value === 'bigint') buffer.writeBigUInt64LE(value);
    else buffer.writeUInt32LE(value);
    return buffer;
  };
  const at = (what: Buffer) => placesOf(bytes, what);
  return {
    bytes,
    at: {
      one: at(ONE),
      other: at(OTHER),
      port: at(fixed(PORT)),
      time: at(fixed(TIME)),
      key: at(fixed(KEY)),
      netns: at(fixed(NETNS)),
    },
  };
}

function made({ bytes, at }: Template, number: number, differs: readonly string[]): Buffer {
  const event = Buffer.from(bytes);
  const is = (what: string) => differs.includes(what);
  for (const place of at.time) event.writeBigUInt64LE(BigInt(1e9 + number * STEP_NS), place);
  for (const place of at.key) event.writeBigUInt64LE(2n ** 43n + BigInt(number), place);
  for (const place of at.netns)
    event.writeUInt32LE(4_026_531_840 + (is('netns') ? number : 0), place);
  for (const place of at.port) event.writeUInt32LE(1 + (is('port') ? number % 50 : 79), place);
  const host = is('port') ? Math.floor(number / 50) : number;
  for (const place of at.one) event.writeUIntBE(is('one') ? number : 0x5a5a01, place + 13, 3);
  for (const place of at.other) event.writeUIntBE(is('other') ? host : 0x5a5a02, place + 13, 3);
  return event;
}

function placesOf(bytes: Buffer, what: Buffer): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(what); at >= 0; at = bytes.indexOf(what, at + 1)) places.push(at);
  return places;
}

function flowsIn(value: unknown): Json[] {
  if (typeof value !== 'object' || value === null) return [];
  const inner = Object.values(value).flatMap(flowsIn);
  return 'saddr' in value ? [value as Json, ...inner] : inner;
}

if (import.meta.main) {
  const [what = '', count = '', file = ''] = process.argv.slice(2);
  const fd = openSync(file, 'w');
  for (const part of crowd(what as keyof typeof CROWDS, Number(count)))
    writeSync(fd, zstdCompressSync(part));
  closeSync(fd);
}
