// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { RecordedStream } from '../../../src/record/read.ts';
import { Recording } from '../../../src/record/write.ts';
import { decodeEvent, encodeEvent } from '../../../src/wire/decode.ts';
import { FrameReader } from '../../../src/wire/frames.ts';
import { headerWith } from '../causes/fixture.ts';
import { HEADER } from '../diagnose/events.ts';

afterEach(() => {
  vi.useRealTimers();
});

test('what happened is in the file within a second, and that nothing did a while later', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const directory = mkdtempSync(join(tmpdir(), 'tcpwhy-'));
  try {
    const path = join(directory, 'x.tcpwhy');
    const recording = new Recording(path, headerWith(HEADER));
    /** How often it was written to in so many seconds of ticks. */
    const writes = (seconds: number, happened: boolean) => {
      let count = 0;
      for (let tick = 0; tick < 10 * seconds; tick++) {
        const before = statSync(path).size;
        vi.advanceTimersByTime(100);
        recording.write(encodeEvent({ ktime_ns: tick + 1, tick: {} }), happened);
        if (statSync(path).size > before) count++;
      }
      return count;
    };
    expect(writes(7, true)).toBe(10);
    // What comes of it is told within three seconds.
    expect(writes(3, false)).toBe(4);
    expect(writes(60, false)).toBe(6);
    expect(writes(7, true)).toBe(10);
    recording.close();
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('what waits to be written is not what its buffer holds by then', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tcpwhy-'));
  try {
    const path = join(directory, 'x.tcpwhy');
    const recording = new Recording(path, headerWith(HEADER));
    const buffer = Buffer.alloc(1024);
    for (let i = 1; i <= 50; i++) {
      const bytes = encodeEvent({ ktime_ns: i, tick: {} });
      buffer.fill(0xff);
      buffer.set(bytes);
      recording.write(buffer.subarray(0, bytes.length));
    }
    recording.close();
    const times: number[] = [];
    for await (const { messages } of (await RecordedStream.open(path)).pieces()) {
      for (const { bytes } of new FrameReader().push(messages)) {
        const event = decodeEvent(bytes);
        if (event && event.ktime_ns > 0) times.push(event.ktime_ns);
      }
    }
    expect(times).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  } finally {
    rmSync(directory, { recursive: true });
  }
});
