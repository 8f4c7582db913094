// SPDX-License-Identifier: Apache-2.0
//
// What a mirror port copies comes more than once: the same is found, as often.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findingsIn } from './captures.ts';

const CAPTURES = join(import.meta.dirname, '../../captures');
const NAMES = readdirSync(CAPTURES).filter((name) => name.endsWith('.pcap'));
const [FILE_HEAD, RECORD_HEAD] = [24, 16];

/** Packets that are handed on together before their copies are. */
describe.each([1, 4])('each packet twice, in bursts of %i', (burst) => {
  test.each(NAMES)('%s', (name) => {
    const bytes = readFileSync(join(CAPTURES, name));
    expect(told(twice(bytes, burst))).toEqual(told(bytes));
  });
});

function told(bytes: Buffer) {
  return findingsIn(bytes).map(({ cause, count, summary, where }) => {
    return { cause, count, summary, where };
  });
}

/** The copies follow within microseconds. */
function twice(bytes: Buffer, burst: number): Buffer {
  const records: Buffer[] = [];
  for (let at = FILE_HEAD; at < bytes.length; ) {
    const end = at + RECORD_HEAD + bytes.readUInt32LE(at + 8);
    records.push(bytes.subarray(at, end));
    at = end;
  }
  const all = [bytes.subarray(0, FILE_HEAD)];
  for (let at = 0; at < records.length; at += burst) {
    const some = records.slice(at, at + burst);
    const last = some.at(-1);
    all.push(...some, ...some.map((record) => (last ? withTime(record, last) : record)));
  }
  return Buffer.concat(all);
}

/** The packet of one record at the time of another. */
function withTime(record: Buffer, time: Buffer): Buffer {
  return Buffer.concat([time.subarray(0, 8), record.subarray(8)]);
}
