// SPDX-License-Identifier: Apache-2.0

import { statSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { wrap } from '../sinks/text.ts';
import { FrameError } from '../wire/frames.ts';
import { type Exporter, FORMATS } from './exporters.ts';
import { UsageError } from './options.ts';
import { Output } from './output.ts';
import { Progress } from './progress.ts';
import { openRecording } from './replay.ts';
import { interruption } from './watch.ts';

/** Writes a recording as a file of another format, in bounded memory: its exit status. */
export async function exportRecording(
  file: string,
  flags: { to: string; output: string },
): Promise<number> {
  const format = FORMATS[flags.to];
  if (!format) throw new UsageError(`--to ${flags.to}: ${Object.keys(FORMATS).join(', ')}`);
  if (format.binary && flags.output === '-' && process.stdout.isTTY) {
    throw new UsageError(`${flags.to} is nothing for a terminal: give -o FILE, or a pipe`);
  }
  const interrupted = interruption();
  const { header, chunks } = openRecording(file);
  const output = await Output.open(flags.output, file);
  const progress = new Progress(statSync(file).size);
  try {
    const exporter = format.open(header, (data) => output.write(data));
    let damage: string | null = null;
    for await (const chunk of chunks) {
      damage = push(exporter, chunk);
      progress.advance(chunk.length);
      await output.flush();
      // Lets a signal in.
      await setImmediate();
      if (interrupted.aborted) return 130;
      if (damage !== null) break;
    }
    if (exporter.rest.bytes > 0) damage ??= `cut off within a message at byte ${exporter.rest.at}`;
    exporter.finish();
    await output.finish();
    progress.end();
    process.stderr.write(notes(file, exporter, damage));
    return 0;
  } finally {
    progress.end();
    await output.discard();
  }
}

/** Where the stream cannot be read any more, and why; null while it can. */
function push(exporter: Exporter, chunk: Uint8Array): string | null {
  try {
    exporter.push(chunk);
    return null;
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    return `${error.message} at byte ${error.at}`;
  }
}

/** What the file that was written does not have. */
function notes(file: string, { losses, left_out }: Exporter, damage: string | null): string {
  const lost = losses
    .rows()
    .map(({ name, count, meaning }) => `lost: ${count} × ${name}: ${meaning}`);
  return [
    ...(damage === null ? [] : [`${file}: ${damage} of the stream: what came before it is there`]),
    ...lost.map((text) => `${file}: ${text}`),
    ...(left_out === 0 ? [] : [`${left_out} events tell of no segment: csv and ndjson have them`]),
  ]
    .map((text) => `${wrap(`tcpwhy: ${text}`, '', '  ').join('\n')}\n`)
    .join('');
}
