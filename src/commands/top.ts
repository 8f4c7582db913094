// SPDX-License-Identifier: Apache-2.0

import { CAUSES } from '../causes/registry.gen.ts';
import { Pipeline } from '../diagnose/pipeline.ts';
import type { Filter } from '../source/filter.ts';
import {
  filterFrom,
  recordedFilterFrom,
  recordingFrom,
  UsageError,
  type WatchFlags,
} from './options.ts';
import { Player } from './player.ts';
import { saying } from './progress.ts';
import { Recorder } from './recorder.ts';
import { openRecording } from './replay.ts';
import { runOptions } from './run.ts';
import { PipelineScreen } from './screen-source.ts';
import { show } from './show.ts';
import { ATTACHING, attachOptions, openLive } from './trace.ts';

const TICK_MS = 100;

/** The live screen: of this kernel, or of a recording (--from). */
export async function top(
  targets: string[],
  flags: WatchFlags & { from?: string },
): Promise<number> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    throw new UsageError('top needs a terminal; without one use tcpwhy trace');
  }
  if (flags.from === undefined) return topLive(targets, flags);
  for (const [flag, given] of Object.entries(ofTheKernel(flags))) {
    if (given)
      throw new UsageError(`${flag} is for watching this kernel: it does nothing with --from`);
  }
  return topRecording(flags.from, recordedFilterFrom(targets, flags), flags);
}

function ofTheKernel(flags: WatchFlags): Record<string, boolean> {
  const { everyRecord, tier, btf, output, maxSize, maxAge, keep, force, hostName } = flags;
  return {
    '--every-record': everyRecord ?? false,
    '--tier': tier !== undefined,
    '--btf': btf !== undefined,
    '-o': output !== undefined,
    '--max-size': maxSize !== undefined,
    '--max-age': maxAge !== undefined,
    '--keep': keep !== undefined,
    '--force': force ?? false,
    '--no-host-name': hostName === false,
  };
}

async function topLive(targets: string[], flags: WatchFlags): Promise<number> {
  const options = runOptions(flags, 'warning');
  const filter = filterFrom(targets, flags);
  recordingFrom(flags);
  const source = saying(ATTACHING, () => openLive({ ...attachOptions(flags), filter }));
  let recorder: Recorder | null = null;
  let timer: NodeJS.Timeout | undefined;
  try {
    const pipeline = new Pipeline(source.header, CAUSES);
    const recording = new Recorder(source, flags);
    recorder = recording;
    recording.countIn(pipeline.losses);
    const screen = new PipelineScreen(pipeline, source.header, null, options.causes);
    const failed = Promise.withResolvers<never>();
    const take = (chunk: Uint8Array) => {
      pipeline.push(chunk);
      screen.note();
      screen.trouble = recording.trouble;
    };
    take(recording.begin());
    timer = setInterval(() => {
      try {
        take(recording.tick());
      } catch (error) {
        failed.reject(error);
      }
    }, TICK_MS);
    await show(screen, options, failed.promise);
    recording.end('interrupted');
    return 0;
  } finally {
    clearInterval(timer);
    source.close();
    recorder?.close();
  }
}

async function topRecording(file: string, filter: Filter, flags: WatchFlags): Promise<number> {
  const options = runOptions(flags, 'warning');
  const open = () => openRecording(file);
  const player = new Player(await open(), open, options.causes, filter);
  const quit = new AbortController();
  try {
    await show(player, options, player.play(quit.signal));
  } finally {
    quit.abort();
  }
  return 0;
}
