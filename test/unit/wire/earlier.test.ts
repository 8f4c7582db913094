// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { RecordedStream } from '../../../src/record/read.ts';
import { decodeAnyEvent, decodeEvent, UndecodableError } from '../../../src/wire/decode.ts';
import { readEarlier } from '../../../src/wire/earlier.ts';
import { FrameReader } from '../../../src/wire/frames.ts';
import { WRITTEN } from '../../../src/wire/written.gen.ts';
import { readWritten, varint } from '../../../src/wire/written.ts';
import { random } from '../diagnose/random.ts';

const KINDS: string[] = Object.values(WRITTEN).map(({ kind }) => kind);

/** One record of each kind and length that an earlier version's BPF wrote, by both. */
async function earlierRecords(): Promise<Map<string, Buffer>> {
  const recording = await RecordedStream.open('test/recordings/demo.tcpwhy');
  const records = new Map<string, Buffer>();
  const frames = new FrameReader();
  for await (const { messages } of recording.pieces()) {
    for (const { bytes } of frames.push(messages)) {
      const kind = decodeAnyEvent(bytes)?.kind ?? '';
      if (KINDS.includes(kind)) records.set(`${kind} ${bytes.length}`, Buffer.from(bytes));
    }
  }
  return records;
}

interface Field {
  /** Byte offsets: of its tag, of its value, and after it. */
  at: number;
  value: number;
  end: number;
  /** Those of a message, null of others. */
  fields: Field[] | null;
}

/** The fields of a record of BPF, whatever its version; null where it is none. */
function fieldsOf(bytes: Buffer, from = 0, end = bytes.length): Field[] | null {
  const fields: Field[] = [];
  for (let at = from; at < end; ) {
    const wire = varint(bytes.readInt32LE(at)) & 7;
    const delimited = wire === 2 && at + 8 <= end;
    const size = delimited ? varint(bytes.readInt32LE(at + 4)) : { 1: 8, 5: 4 }[wire];
    const value = at + (delimited ? 8 : 4);
    if (size === undefined || size < 0 || value + size > end) return null;
    const inner = delimited ? fieldsOf(bytes, value, value + size) : null;
    fields.push({ at, value, end: value + size, fields: inner });
    at = value + size;
  }
  return fields;
}

/** Where the record has values, in words of four bytes; everything else is a tag or a length. */
function valuesOf(fields: Field[] | null): number[] {
  return (fields ?? []).flatMap(({ value, end, fields }) =>
    fields ? valuesOf(fields) : Array.from({ length: (end - value) / 4 }, (_, i) => value + 4 * i),
  );
}

const padded = (n: number) => (n & 0x7f) | ((n & 0x3f80) << 1) | 0x808080;

/** The same record with only the first so many fields of its body. */
function shortened(bytes: Buffer, count: number): Buffer {
  const body = fieldsOf(bytes)?.at(-1);
  const end = body?.fields?.[count]?.at;
  if (!body || end === undefined) throw new Error('a body of no more fields');
  const short = Buffer.from(bytes.subarray(0, end));
  short.writeInt32LE(padded(end - body.value), body.value - 4);
  return short;
}

const records = await earlierRecords();

describe.each([...records])('%s bytes of an earlier version', (_, bytes) => {
  test('read as any protobuf library reads them, by their shape from the second time on', () => {
    expect(readWritten(bytes)).toBeNull();
    expect(decodeEvent(bytes)).toEqual(decodeAnyEvent(bytes));
    expect(readEarlier(bytes)).toEqual(decodeAnyEvent(bytes));
  });

  test('read so whatever their values are', () => {
    decodeEvent(bytes);
    const values = valuesOf(fieldsOf(bytes));
    expect(values.length).toBeGreaterThan(20);
    const next = random(11);
    for (let round = 0; round < 20; round++) {
      const other = Buffer.from(bytes);
      for (const at of values) other.writeUInt32LE(next() < round / 20 ? 0 : next() * 2 ** 32, at);
      expect(readEarlier(other)).toEqual(decodeAnyEvent(other));
    }
  });

  test('are another’s with another tag', () => {
    decodeEvent(bytes);
    const values = new Set(valuesOf(fieldsOf(bytes)));
    for (let at = 0; at < bytes.length; at += 4) {
      if (values.has(at)) continue;
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8(damaged.readUInt8(at) ^ 8, at);
      expect(readEarlier(damaged)).toBeNull();
    }
  });
});

describe('of a peer_name', () => {
  const bytes = [...records].find(([name]) => name.startsWith('peer_name'))?.[1];
  if (!bytes) throw new Error('no peer_name in the recording');

  test('an address that is missing is empty, and not that of zeros', () => {
    const short = shortened(bytes, 1);
    for (let times = 0; times < 2; times++) {
      expect(decodeEvent(short)).toEqual(decodeAnyEvent(short));
      expect(decodeEvent(short)?.body).toMatchObject({ shown_addr: '', other: null });
    }
  });

  test('a number and a socket that are missing are 0 and null', () => {
    const short = shortened(bytes, 4);
    decodeEvent(short);
    expect(readEarlier(short)).toEqual(decodeAnyEvent(short));
    expect(readEarlier(short)?.body).toMatchObject({ getname: '0', other: null });
  });

  test('without the socket that has to be there, it cannot be decoded', () => {
    const short = shortened(bytes, 0);
    for (let times = 0; times < 2; times++)
      expect(() => decodeEvent(short)).toThrow(UndecodableError);
  });
});
