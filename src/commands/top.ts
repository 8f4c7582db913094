// SPDX-License-Identifier: Apache-2.0

import { ATTACHING, attachOptions, openSource } from '../app/attach.ts';
import { onlyRead } from '../app/caller.ts';
import type { Values } from '../app/declare.ts';
import type { TOP } from '../app/flags.ts';
import { filesAndTargets, filterFrom, recordedFilterFrom, recordingFrom } from '../app/options.ts';
import { Player } from '../app/player.ts';
import { besideEachOther } from '../app/post-mortem.ts';
import { saying } from '../app/progress.ts';
import { Recorder } from '../app/recorder.ts';
import { openStream } from '../app/recording.ts';
import { causesCalled, colored } from '../app/run.ts';
import { PipelineScreen } from '../app/screen-source.ts';
import { show } from '../app/show.ts';
import { UsageError } from '../app/usage.ts';
import { TICK_MS } from '../app/watch.ts';
import { CAUSES } from '../causes/registry.gen.ts';
import { Pipeline } from '../diagnose/pipeline.ts';
import type { Filter } from '../source/filter.ts';

type Flags = Values<typeof TOP>;

/** The live screen: of this kernel, or of recordings (--from). */
export async function top(targets: string[], flags: Flags): Promise<number> {
  // One that calls itself dumb, as a shell in an editor, moves no cursor.
  if (!process.stdin.isTTY || !process.stdout.isTTY || process.env.TERM === 'dumb') {
    throw new UsageError('top needs a terminal; without one use tcpwhy trace');
  }
  const [first, ...more] = flags.from;
  if (first === undefined) return topLive(targets, flags);
  onlyRead();
  // What stands behind a file may be a target.
  const behind = filesAndTargets([...more, ...targets], 'recording', [], true);
  const filter = recordedFilterFrom(behind.targets, flags);
  return topRecordings([first, ...behind.files], filter, flags);
}

async function topLive(targets: string[], flags: Flags): Promise<number> {
  const options = screenOptions(flags);
  const filter = filterFrom(targets, flags);
  recordingFrom(flags);
  const source = saying(ATTACHING, () => openSource({ ...attachOptions(flags), filter }));
  let recorder: Recorder | null = null;
  let timer: NodeJS.Timeout | undefined;
  try {
    const pipeline = new Pipeline(source.header, CAUSES);
    const recording = new Recorder(source, flags, recordingFrom(flags));
    recorder = recording;
    recording.countIn(pipeline.losses);
    const screen = new PipelineScreen(pipeline, source.header, null, options.causes);
    const failed = Promise.withResolvers<never>();
    const take = (chunk: Uint8Array) => {
      if (chunk.length === 0) return;
      pipeline.push(chunk);
      screen.trouble = recording.trouble;
      screen.note();
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

async function topRecordings(files: string[], filter: Filter, flags: Flags): Promise<number> {
  const options = screenOptions(flags);
  const open = () => Promise.all(files.map((file) => openStream(file)));
  const recordings = await open();
  const beside = files.length > 1 ? await besideEachOther(files, filter) : [];
  const player = new Player(recordings, open, options.causes, filter, beside);
  const quit = new AbortController();
  try {
    await show(player, options, player.play(quit.signal));
  } finally {
    quit.abort();
  }
  return 0;
}

function screenOptions({ cause, color }: Flags) {
  return { causes: causesCalled(cause), color: colored(color) };
}
