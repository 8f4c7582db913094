// SPDX-License-Identifier: Apache-2.0

import { setImmediate } from 'node:timers/promises';
import { RecordedStream } from '../record/read.ts';
import { ticked } from '../record/ticks.ts';
import type { Cursor } from './cursor.ts';
import { FileFindings } from './findings.ts';
import type { LogRecord } from './otlp.ts';
import type { Resources } from './resource.ts';

/** Meanwhile the kernel has to be read: between so many ticks it may be. */
const TICKS_AT_ONCE = 50;

/**
 * What a file that is whole, or never will be, has beyond the cursor. Throws RecordingError, and the file
 * system's errors.
 */
export async function recordedBeyond(
  path: string,
  cursor: Cursor,
  resources: Resources,
  now_ns: number,
): Promise<LogRecord[]> {
  const recording = await RecordedStream.open(path);
  try {
    const { header } = recording;
    const findings = new FileFindings(header, resources);
    const { pipeline } = findings;
    const same = header.run === cursor.run && header.part === cursor.part;
    let until_ktime_ns = same ? cursor.ktime_ns : 0;
    let ticks = 0;
    let latest_ns = 0;
    for await (const { messages, ktime_ns } of ticked(recording.pieces())) {
      // That tick itself is not in the file.
      if (until_ktime_ns > 0 && (ktime_ns ?? 0) > until_ktime_ns) {
        findings.skip(latest_ns);
        until_ktime_ns = 0;
      }
      pipeline.push(messages);
      latest_ns = Math.max(latest_ns, pipeline.now_ns);
      if (until_ktime_ns > 0 && ktime_ns === until_ktime_ns) {
        findings.skip(latest_ns);
        until_ktime_ns = 0;
      }
      if (++ticks % TICKS_AT_ONCE === 0) await setImmediate();
    }
    // The file ends before what was told of it: its disk was full, or lost power. Nothing is left to tell.
    if (until_ktime_ns > 0) return [];
    pipeline.finish();
    return findings.take(now_ns);
  } finally {
    await recording.close();
  }
}
