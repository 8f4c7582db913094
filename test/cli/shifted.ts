// SPDX-License-Identifier: Apache-2.0

import { writeFileSync } from 'node:fs';
import { RecordedStream } from '../../src/record/read.ts';
import { encodeHeader } from '../../src/wire/decode.ts';

/** A copy of a recording as a host of that name would have made it whose clock is so much ahead. */
export async function shifted(from: string, to: string, host: string, ahead_ns: bigint) {
  const recording = await RecordedStream.open(from);
  const { header } = recording;
  const clock_offset_ns = String(BigInt(header.clock_offset_ns) + ahead_ns);
  const parts = [encodeHeader({ ...header, host, clock_offset_ns })];
  for await (const { messages } of recording.pieces()) parts.push(messages);
  writeFileSync(to, Buffer.concat(parts));
}
