// SPDX-License-Identifier: Apache-2.0

import { setImmediate } from 'node:timers/promises';
import type { Values } from '../app/declare.ts';
import { type Exporter, FORMATS } from '../app/exporters.ts';
import type { EXPORT } from '../app/flags.ts';
import { filesAndTargets, recordedFilterFrom } from '../app/options.ts';
import { Output } from '../app/output.ts';
import { Progress } from '../app/progress.ts';
import { DamageReport, headerFor, narrowedTo, openRecording } from '../app/recording.ts';
import { UsageError } from '../app/usage.ts';
import { interruption } from '../app/watch.ts';

/** Writes a recording as a file of another format, in bounded memory: its exit status. */
export async function exportRecording(
  args: string[],
  flags: Values<typeof EXPORT>,
): Promise<number> {
  const { files, targets } = filesAndTargets(args);
  const [file = '', second] = files;
  if (second !== undefined)
    throw new UsageError(`one recording at a time, not ${files.join(' and ')}`);
  const filter = recordedFilterFrom(targets, flags);
  const format = FORMATS[flags.to];
  if (flags.to === 'protobuf' && narrowedTo(filter))
    throw new UsageError('protobuf is the very messages of the recording: it takes no TARGET');
  const to = flags.output ?? '-';
  if (to === '-' && flags.force) throw new UsageError('--force needs -o FILE');
  if (format.binary && to === '-' && process.stdout.isTTY) {
    throw new UsageError(`${flags.to} is nothing for a terminal: give -o FILE, or a pipe`);
  }
  const interrupted = interruption();
  const recording = await openRecording(file);
  const progress = new Progress(recording.size_bytes);
  const say = (text: string) => progress.say(text);
  let output: Output | null = null;
  try {
    output = Output.open(to, [file], flags.force);
    const exporter = format.open(
      headerFor(recording.header, filter),
      output.write.bind(output),
      narrowedTo(filter),
    );
    const damages = new DamageReport(file, exporter.losses, say);
    let read_bytes = 0;
    for await (const { messages, damage } of recording.pieces()) {
      exporter.push(messages);
      if (damage) damages.add(damage);
      progress.advance(recording.read_bytes - read_bytes);
      read_bytes = recording.read_bytes;
      await output.drained();
      // Lets a signal in.
      await setImmediate();
      if (interrupted.aborted) return 130;
    }
    exporter.finish();
    output.finish();
    progress.end();
    damages.end();
    process.stderr.write(notes(file, exporter));
    return 0;
  } finally {
    progress.end();
    output?.close();
    await recording.close();
  }
}

/** What the file that was written does not have; damage has been told. */
function notes(file: string, { losses, left_out }: Exporter): string {
  const lost = losses
    .rows()
    .filter(({ name }) => !name.startsWith('recording_'))
    .map(({ count, name, meaning }) => `lost: ${count} × ${name}: ${meaning}`);
  const none = left_out > 0 ? [`${left_out} events have no segment: csv and ndjson have them`] : [];
  return [...lost, ...none].map((text) => `tcpwhy: ${file}: ${text}\n`).join('');
}
