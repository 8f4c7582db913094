// SPDX-License-Identifier: Apache-2.0
//
// Cuts a cause's fixture (test/unit/causes/fixture.ts says what that is) out of a recording, or a capture:
//
//   node tools/cut-fixture.ts RECORDING --about TEXT [--port N]… [--netns INODE]… [--kind KIND]…
//       [--from SEQ] [--to SEQ] [--sysctl NAME]… >src/causes/ID/fires.ndjson
//
// Events are taken where every option that is given holds; SEQ as `tcpwhy replay --events` numbers
// them. Times are moved so that the first event is at one second; nothing else is changed.

import { parseArgs } from 'node:util';
import { openStream } from '../src/app/recording.ts';
import type { Stream } from '../src/record/stream.ts';
import { decodeEvent } from '../src/wire/decode.ts';
import type { Event } from '../src/wire/event.ts';
import { FrameReader } from '../src/wire/frames.ts';
import { ADDRESS_FIELDS, EVENT } from '../src/wire/messages.ts';
import { neededFacts } from './needed-facts.ts';

type Json = { [field: string]: unknown };

/** Kinds that tcpwhy adds; they have no SEQ. */
const ADDED = new Set(['tick', 'totals', 'fact', 'footer']);
const FIRST_KTIME_NS = 1_000_000_000n;

const { values: only, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    about: { type: 'string' },
    port: { type: 'string', multiple: true },
    netns: { type: 'string', multiple: true },
    kind: { type: 'string', multiple: true },
    from: { type: 'string', default: '1' },
    to: { type: 'string', default: 'Infinity' },
    sysctl: { type: 'string', multiple: true },
  },
});
const [file] = positionals;
if (!file || !only.about) throw new Error('usage: cut-fixture.ts RECORDING --about TEXT [options]');

const recording = await openStream(file);
const { header } = recording;
const all = await readEvents(recording);
const events = all
  .filter(({ event }) => !ADDED.has(event.kind))
  .sort((a, b) => a.event.ktime_ns - b.event.ktime_ns)
  .filter(({ event }, index) => wanted(event, index + 1));
const needed = neededFacts(
  all.map(({ event }) => event),
  events.map(({ event }) => event),
);
const facts = all.filter(({ event }) => needed.has(event));
const first = BigInt(String(events[0]?.json.ktime_ns ?? 0));

write({ about: only.about, header: { enums: enumsInUse(), sysctls: sysctls() } });
for (const { json } of facts) write({ fact: json.fact });
for (const { json, event } of events) {
  const ktime_ns = String(BigInt(String(json.ktime_ns)) - first + FIRST_KTIME_NS);
  write({ ...compact(json), ktime_ns, [event.kind]: body(event.kind, json[event.kind] as Json) });
}

async function readEvents(stream: Stream): Promise<{ event: Event; json: Json }[]> {
  const frames = new FrameReader();
  const events: { event: Event; json: Json }[] = [];
  for await (const { messages } of stream.pieces()) {
    for (const { bytes } of frames.push(messages)) {
      const event = decodeEvent(bytes);
      const message = EVENT.decode(bytes);
      const json = EVENT.toObject(message, { longs: String, bytes: String });
      if (event) events.push({ event, json });
    }
  }
  return events;
}

function wanted(event: Event, seq: number): boolean {
  if (seq < Number(only.from) || seq > Number(only.to)) return false;
  if (only.kind && !only.kind.includes(event.kind)) return false;
  if (only.netns && !only.netns.includes(String(event.netns))) return false;
  return !only.port || only.port.some((port) => ports(event.body).includes(Number(port)));
}

/** Of every flow in it. */
function ports(value: unknown): number[] {
  if (!value || typeof value !== 'object') return [];
  const inner = Object.values(value).flatMap(ports);
  return 'sport' in value && 'dport' in value ? [Number(value.sport), Number(value.dport)] : inner;
}

/** Names of the reasons that the events have; the kernel has hundreds. */
function enumsInUse() {
  const reasons = (kind: Event['kind']) =>
    events.flatMap(({ event }) =>
      event.kind === kind && 'reason' in event.body ? [String(event.body.reason)] : [],
    );
  const used = new Map([
    ['skb_drop_reason', reasons('drop')],
    ['sk_rst_reason', reasons('reset_sent')],
  ]);
  return header.enums
    .map(({ name, names }) => ({ name, names: pick(names, used.get(name) ?? []) }))
    .filter(({ names }) => Object.keys(names).length > 0);
}

function sysctls() {
  return pick(header.sysctls, only.sysctl ?? []);
}

function pick(from: Record<string, string>, names: string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)));
}

function body(kind: string, json: Json): Json {
  const { fields } = EVENT.root.lookupType(String(EVENT.fields[kind]?.type));
  const there = Object.entries(json).filter(
    ([name, value]) => !(fields[name]?.options?.may_be_absent && isZero(value)),
  );
  return compact(Object.fromEntries(there));
}

/** Without what protobuf takes for granted: zeros. An address of zeros says something. */
function compact(message: Json): Json {
  const fields = Object.entries(message)
    .filter(
      ([name, value]) => typeof value === 'object' || ADDRESS_FIELDS.has(name) || !isZero(value),
    )
    .map(([name, value]) => [name, isMessage(value) ? compact(value) : value]);
  return Object.fromEntries(fields);
}

function isMessage(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Numbers, 64-bit numbers as text, base64, and messages of nothing else. */
function isZero(value: unknown): boolean {
  if (isMessage(value)) return Object.values(value).every(isZero);
  return value === 0 || value === '0' || /^A*=*$/.test(String(value));
}

function write(line: Json): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
