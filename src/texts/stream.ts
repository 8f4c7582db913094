// SPDX-License-Identifier: Apache-2.0

import { FORMAT } from '../record/read.ts';
import type { Stream } from '../record/stream.ts';
import { VERSION } from '../version.ts';
import { encodeEvent } from '../wire/decode.ts';
import type { CauseTold, Header } from '../wire/types.gen.ts';
import { COUNTED, UNNAMED } from './counter-causes.ts';
import type { Said } from './log.ts';
import { LOGGED } from './log-causes.ts';
import type { Moved } from './moved.ts';

/** Time of all that a text tells, on the clock that events have. */
const NOW_NS = 1e9;
/** An event stands for no more. */
const MOST_OCCURRENCES = 2 ** 32 - 1;

/** A text as a recording: its header, and its messages. */
export interface TextStream {
  header: Header;
  messages: Uint8Array;
  told: CauseTold[];
}

/** Of counters that moved; `counters` of each text. Their time is `time_ms`, when the second one was written. */
export function counterStream(
  name: string,
  { rows, compared }: Moved,
  [before, after]: readonly [ReadonlyMap<string, number>, ReadonlyMap<string, number>],
  time_ms: number,
): TextStream {
  const moved = new Map(rows.map((row) => [row.counter, row.after - row.before]));
  const events = rows.flatMap((row) => {
    const { counter } = row;
    const parts = (UNNAMED.find((one) => one.counter === counter)?.parts ?? []).flatMap((part) => {
      const by = moved.get(part) ?? 0;
      return by > 0 ? [{ counter: part, moved: by }] : [];
    });
    // Before Linux 3.10 ListenDrops counted some of them only: then nothing is known of a rest.
    const rest = parts.reduce((sum, part) => sum - part.moved, row.after - row.before);
    if (!TELLING.has(counter)) return [];
    return eventsOf(rest, (count, at) => ({
      occurrences: count,
      counter_moved: { ...row, parts: at === 0 ? parts : [] },
    }));
  });
  const told = COUNTED.filter(({ counter }) => compared.has(counter)).map(({ counter, cause }) => ({
    ...{ cause, by: counter, count: moved.get(counter) ?? 0 },
  }));
  const footer = { counters: Object.fromEntries(after), end: '', losses: {} };
  const header = { ...headerOf('counters', name, time_ms), counters: Object.fromEntries(before) };
  return { header, messages: messagesOf([...events, { footer }]), told };
}

/** Of what a log says. Its time is `time_ms`, when it was written. */
export function logStream(name: string, all: readonly Said[], time_ms: number): TextStream {
  const events = all.map(({ line, port, lines, suppressed }) => ({
    occurrences: lines + suppressed,
    kernel_said: { line, port, suppressed },
  }));
  const told = LOGGED.flatMap(({ cause }) => {
    const lines = all.filter(({ rule }) => rule.cause === cause);
    const count = lines.reduce((sum, one) => sum + one.lines + one.suppressed, 0);
    return cause !== null && count > 0 ? [{ cause, by: 'log', count }] : [];
  });
  return { header: headerOf('log', name, time_ms), messages: messagesOf(events), told };
}

/** As recordings are read. */
export function textStream({ header, messages }: TextStream): Stream {
  const size_bytes = messages.length;
  return {
    ...{ path: header.host, header, size_bytes, read_bytes: size_bytes, used_bytes: size_bytes },
    async *pieces() {
      yield { messages, damage: null };
    },
    async close() {},
  };
}

/** What texts tell, for the capture that they were given with. */
export function factOf(told: readonly CauseTold[]): Uint8Array {
  return encodeEvent({
    ...{ ktime_ns: NOW_NS, occurrences: 1 },
    fact: { told_by_texts: { causes: told } },
  });
}

const TELLING = new Set([...COUNTED, ...UNNAMED].map(({ counter }) => counter));

function eventsOf<T>(count: number, one: (count: number, at: number) => T): T[] {
  const events: T[] = [];
  for (let left = count; left > 0; left -= MOST_OCCURRENCES)
    events.push(one(Math.min(left, MOST_OCCURRENCES), events.length));
  return events;
}

function messagesOf(events: readonly object[]): Uint8Array {
  const tick = { occurrences: 1, tick: { lost: [] } };
  return Buffer.concat(
    [...events, tick].map((event) => encodeEvent({ ktime_ns: NOW_NS, occurrences: 1, ...event })),
  );
}

function headerOf(tier: 'counters' | 'log', host: string, time_ms: number): Header {
  return {
    ...{ magic: 'tcpwhy', format: FORMAT, tcpwhy_version: VERSION, host, kernel: '', machine: '' },
    clock_offset_ns: String(BigInt(Math.round(time_ms)) * 1_000_000n - BigInt(NOW_NS)),
    start_ktime_ns: NOW_NS,
    tier,
    ...{
      hooks: [],
      enums: [],
      sysctls: {},
      counters: {},
      filters: [],
      netns: 0,
      run: '0',
      part: 1,
    },
  };
}
