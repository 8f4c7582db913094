// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import {
  decodeAnyEvent,
  decodeEvent,
  decodeHeader,
  encodeBareTick,
  encodeEvent,
  encodeHeader,
  eventFromJson,
  mayHaveHappened,
  UndecodableError,
} from '../../../src/wire/decode.ts';
import { FrameReader } from '../../../src/wire/frames.ts';
import { EVENT } from '../../../src/wire/messages.ts';
import { headerWith } from '../causes/fixture.ts';
import { packetEvent } from '../diagnose/events.ts';

describe('an event', () => {
  test('is plain data', () => {
    const event = eventFromJson({
      ...packetEvent('drop', {
        ms: 1,
        sport: 1234,
        dport: 80,
        key: '18446744073709551615',
        cpu: 3,
      }),
    });
    expect(event).toMatchObject({
      kind: 'drop',
      ktime_ns: 1e6,
      cpu: 3,
      netns: 1,
      key: '18446744073709551615',
      occurrences: 1,
      body: { packet: { flow: { saddr: '10.0.0.1', daddr: '10.0.0.2', sport: 1234, dport: 80 } } },
    });
  });

  test('stands for at least one occurrence', () => {
    expect(eventFromJson({ ...packetEvent('drop', { ms: 1 }), occurrences: 0 }).occurrences).toBe(
      1,
    );
  });

  test('has null for what is all zero and may be absent', () => {
    const { body } = eventFromJson(packetEvent('drop', { ms: 1 }));
    expect(body).toMatchObject({ sock: null, mib: null });
    const json = packetEvent('drop', { ms: 1 });
    const zeros = { ...(json.drop as object), sock: { id: '0', flow: {}, owner: {} }, mib: {} };
    expect(eventFromJson({ ...json, drop: zeros }).body).toMatchObject({ sock: null, mib: null });
    const there = { ...(json.drop as object), mib: { listen_drops: 1 } };
    expect(eventFromJson({ ...json, drop: there }).body).toMatchObject({
      mib: { listen_drops: 1 },
    });
  });

  test('has text up to the first zero byte, and pointers up to the first zero', () => {
    const comm = Buffer.from('nginx\0\0rubbish\0\0').toString('base64');
    const stack = Buffer.alloc(64);
    stack.writeBigUInt64LE(0xffffffff81234567n, 0);
    stack.writeBigUInt64LE(5n, 8);
    stack.writeBigUInt64LE(6n, 24);
    const event = eventFromJson({
      reset_sent: { sock: { id: '1', flow: {}, owner: { comm } }, stack: stack.toString('base64') },
    });
    expect(event.body).toMatchObject({
      stack: [String(0xffffffff81234567n), '5'],
      sock: { owner: { comm: 'nginx' } },
    });
  });

  test('has whole text where there is no zero byte', () => {
    const comm = Buffer.from('sixteen bytes ok').toString('base64');
    const event = eventFromJson({ socket: { sock: { id: '1', flow: {}, owner: { comm } } } });
    expect(event.body).toMatchObject({ sock: { owner: { comm: 'sixteen bytes ok' } } });
  });

  test('counts in numbers', () => {
    const { body } = eventFromJson({
      totals: { keys: [{ key: '5', count: '7' }], kinds: [{ kind: 19, reason: 2, count: '70' }] },
    });
    expect(body).toEqual({
      keys: [{ key: '5', count: 7 }],
      kinds: [{ kind: 19, reason: 2, count: 70 }],
    });
  });

  test('is null where its kind is not known to this version', () => {
    expect(decodeEvent(Buffer.from([0xa2, 0x1f, 0]))).toBeNull();
    expect(decodeEvent(new Uint8Array(0))).toBeNull();
  });

  test('is read as far as this version knows its fields', () => {
    const [frame] = new FrameReader().push(encodeEvent(packetEvent('drop', { ms: 1 })));
    const newer = Buffer.concat([frame?.bytes ?? Buffer.alloc(0), Buffer.from([0xc2, 0x3e, 1, 9])]);
    expect(decodeEvent(newer)).toMatchObject({ kind: 'drop', ktime_ns: 1e6 });
  });

  test('is refused where it is larger than what may have happened', () => {
    const [frame] = new FrameReader().push(encodeEvent(packetEvent('drop', { ms: 1 })));
    const bytes = frame?.bytes ?? new Uint8Array(0);
    const refused = [4095, 4096, 4097, 8000].map((length) => {
      const padding = Buffer.alloc(length - bytes.length);
      // Field 1000, which no version knows, of so many bytes.
      padding.set([0xc2, 0x3e, ((padding.length - 4) & 0x7f) | 0x80, (padding.length - 4) >> 7]);
      const padded = Buffer.concat([bytes, padding]);
      expect(undecodable(padded)).toBe(mayHaveHappened(padded) ? 0 : 1);
      return !mayHaveHappened(padded);
    });
    expect(refused).toEqual([false, false, true, true]);
  });

  test('is undecodable or something else, never an error of another kind, where it is cut off', () => {
    const [frame] = new FrameReader().push(encodeEvent(packetEvent('reset_sent', { ms: 1 })));
    const bytes = frame?.bytes ?? new Uint8Array(0);
    let refused = 0;
    for (let cut = 0; cut < bytes.length; cut++) refused += undecodable(bytes.subarray(0, cut));
    expect(refused).toBeGreaterThan(bytes.length / 2);
  });

  test('is undecodable or something else where bits are flipped', () => {
    const [frame] = new FrameReader().push(encodeEvent(packetEvent('reset_sent', { ms: 1 })));
    const bytes = Buffer.from(frame?.bytes ?? []);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      undecodable(damaged);
    }
  });
});

/** 1 where it is refused as it should be. */
function undecodable(bytes: Uint8Array): number {
  try {
    decodeEvent(bytes);
    return 0;
  } catch (error) {
    expect(error).toBeInstanceOf(UndecodableError);
    return 1;
  }
}

describe('a header', () => {
  test('is read back as it was', () => {
    const header = headerWith({
      enums: [{ name: 'skb_drop_reason', names: { 3: 'NO_SOCKET' } }],
      sysctls: { 'net/core/somaxconn': '4096' },
    });
    const before_1970 = { ...header, clock_offset_ns: '-5', start_ktime_ns: 12345 };
    const [frame] = new FrameReader().push(encodeHeader(before_1970));
    expect(decodeHeader(frame?.bytes ?? new Uint8Array(0))).toMatchObject(before_1970);
  });

  test('is refused where it is damaged', () => {
    expect(() => decodeHeader(Buffer.from([0x0a, 0x7f, 1]))).toThrow(UndecodableError);
  });
});

test('a tick that tells only its time reads as any tick does', () => {
  for (const ktime_ns of ['1', '4294967296', '123456789012345678', '18446744073709551615']) {
    const bare = EVENT.encode(EVENT.fromObject({ ktime_ns, tick: {} })).finish();
    expect(bare).toHaveLength(12);
    expect(decodeEvent(bare)).toEqual(decodeAnyEvent(bare));
    for (let at = 0; at < bare.length; at++) {
      const other = Buffer.from(bare);
      other.writeUInt8((bare[at] ?? 0) ^ 1, at);
      expect(outcome(() => decodeEvent(other))).toEqual(outcome(() => decodeAnyEvent(other)));
    }
  }
});

test('a tick that tells only its time is written as any tick is', () => {
  for (const ktime_ns of [1, 2 ** 32, 123_456_789_012_345_680])
    expect(encodeBareTick(ktime_ns)).toEqual(
      Buffer.from(encodeEvent({ ktime_ns: String(ktime_ns), tick: {} })),
    );
});

function outcome(decode: () => unknown): unknown {
  try {
    return decode();
  } catch (error) {
    return String(error);
  }
}
