// SPDX-License-Identifier: Apache-2.0

import { realpathSync, statSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { CAUSES } from '../causes/registry.gen.ts';
import { BENIGN } from '../diagnose/unexplained.ts';
import { Anonymizer } from '../record/anonymize.ts';
import type { Piece } from '../record/messages.ts';
import { Draft } from '../report/build.ts';
import { HostCollection } from '../report/collect.ts';
import { byHost } from '../report/hosts.ts';
import type { Report } from '../report/model.ts';
import { SteadyClock } from '../report/steady.ts';
import { WatchReader } from '../report/watch.ts';
import type { Filter } from '../source/filter.ts';
import { VERSION } from '../version.ts';
import type { Event } from '../wire/event.ts';
import type { Header } from '../wire/types.gen.ts';
import type { Values } from './declare.ts';
import type { REPORT } from './flags.ts';
import { Progress } from './progress.ts';
import { DamageReport, headerFor, narrowedTo, openRecording } from './recording.ts';
import { causesCalled } from './run.ts';

interface File {
  path: string;
  /** As it is shown. */
  name: string;
  header: Header;
}

/** What recordings tell of all their hosts; null where it was interrupted. Throws UsageError. */
export async function postMortem(
  paths: string[],
  filter: Filter,
  flags: Pick<Values<typeof REPORT>, 'cause' | 'all' | 'anonymize'>,
  interrupted: AbortSignal,
): Promise<Report | null> {
  const causes = causesCalled(flags.cause);
  const anonymizer = flags.anonymize ? new Anonymizer() : null;
  const files = await headers([...new Set(paths.map(real))], filter, anonymizer);
  const wanted = ({ cause }: { cause: string }) =>
    cause === BENIGN.id ? flags.all : (causes?.has(cause) ?? true);
  const change = (event: Event) => anonymizer?.event(event) ?? event;
  const total_bytes = files.reduce((sum, { path }) => sum + statSync(path).size, 0);

  const progress = new Progress(total_bytes);
  const say = (text: string) => progress.say(text);
  const collections: HostCollection[] = [];
  const hosts = byHost(files);
  for (const host of hosts) {
    const collection = new HostCollection(wanted);
    collections.push(collection);
    for (const { path, name, header } of host) {
      const pipeline = collection.open(name, header, CAUSES, change, narrowedTo(filter));
      const damages = new DamageReport(path, pipeline.losses, say);
      const whole = await eachPiece(path, progress, interrupted, ({ messages, damage }) => {
        pipeline.push(messages);
        if (damage) damages.add(damage);
      });
      if (!whole) return null;
      damages.end();
      collection.finish(pipeline);
    }
  }

  const draft = new Draft(collections);
  for (const [at, host] of hosts.entries()) {
    const clock = new SteadyClock();
    const onReport = (steady_ns: number) => draft.onReport(at, steady_ns);
    for (const { path, header } of host) {
      const narrowed = narrowedTo(filter);
      const reader = new WatchReader(draft.watched, header, at, clock, onReport, change, narrowed);
      const whole = await eachPiece(path, progress, interrupted, ({ messages }) =>
        reader.push(messages),
      );
      if (!whole) return null;
    }
  }
  progress.end();
  return draft.report({ version: VERSION, anonymized: anonymizer !== null, causes: CAUSES });
}

/** The headers of all files, so that each is known before any is read. */
async function headers(
  paths: string[],
  filter: Filter,
  anonymizer: Anonymizer | null,
): Promise<File[]> {
  const files: File[] = [];
  for (const [at, path] of paths.entries()) {
    const recording = await openRecording(path);
    await recording.close();
    const header = headerFor(recording.header, filter);
    const name = anonymizer ? `recording-${at + 1}.tcpwhy` : path;
    files.push({ path, name, header: anonymizer?.header(header) ?? header });
  }
  return files;
}

/** A file is read twice: for what was found, and for what is drawn of it. */
const PASSES = 2;

/** False where it was interrupted. */
async function eachPiece(
  path: string,
  progress: Progress,
  interrupted: AbortSignal,
  take: (piece: Piece) => void,
): Promise<boolean> {
  const recording = await openRecording(path);
  let read_bytes = 0;
  for await (const piece of recording.pieces()) {
    take(piece);
    progress.advance((recording.read_bytes - read_bytes) / PASSES);
    read_bytes = recording.read_bytes;
    // Lets a signal in.
    await setImmediate();
    if (!interrupted.aborted) continue;
    progress.end();
    return false;
  }
  return true;
}

function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
