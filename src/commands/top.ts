// SPDX-License-Identifier: Apache-2.0

import { CAUSES } from '../causes/registry.gen.ts';
import { Pipeline } from '../diagnose/pipeline.ts';
import type { ScreenSource } from '../sinks/tui/model.ts';
import { runScreen } from '../sinks/tui/screen.tsx';
import { filterFrom, UsageError, type WatchFlags } from './options.ts';
import { Player } from './player.ts';
import { Recorder } from './recorder.ts';
import { openRecording } from './replay.ts';
import { runOptions } from './run.ts';
import { PipelineScreen } from './screen-source.ts';
import { attachOptions, openLive } from './trace.ts';

const TICK_MS = 100;

/** The live screen: of this kernel, or of a recording (--from). */
export async function top(
  targets: string[],
  flags: WatchFlags & { from?: string },
): Promise<number> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    throw new UsageError('top needs a terminal; without one use tcpwhy trace');
  }
  return flags.from === undefined ? topLive(targets, flags) : topRecording(flags.from, flags);
}

async function topLive(targets: string[], flags: WatchFlags): Promise<number> {
  const options = runOptions(flags, 'warning');
  const filter = filterFrom(targets, flags);
  const source = openLive({ ...attachOptions(flags), filter });
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
    await Promise.race([show(screen, options.color), failed.promise]);
    recording.end('interrupted');
    return 0;
  } finally {
    clearInterval(timer);
    source.close();
    recorder?.close();
  }
}

async function topRecording(file: string, flags: WatchFlags): Promise<number> {
  const options = runOptions(flags, 'warning');
  const open = () => openRecording(file);
  const player = new Player(await open(), open, options.causes);
  const quit = new AbortController();
  const playing = player.play(quit.signal);
  try {
    await Promise.race([
      show(player, options.color),
      playing.then(() => new Promise<never>(() => undefined)),
    ]);
  } finally {
    quit.abort();
  }
  return 0;
}

/** Shows the screen until it is left; signals leave it as `q` does. */
async function show(screen: ScreenSource, color: boolean): Promise<void> {
  const leave = new AbortController();
  const abort = () => leave.abort();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, abort);
  try {
    await runScreen(screen, { color, signal: leave.signal });
  } finally {
    for (const signal of signals) process.off(signal, abort);
  }
}
