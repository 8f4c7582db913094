// SPDX-License-Identifier: Apache-2.0

import { realpathSync, statSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { CAUSES } from '../causes/registry.gen.ts';
import { BENIGN } from '../diagnose/unexplained.ts';
import { Anonymizer } from '../record/anonymize.ts';
import type { Piece } from '../record/messages.ts';
import type { Stream } from '../record/stream.ts';
import { Draft } from '../report/build.ts';
import { HostCollection } from '../report/collect.ts';
import { byHost } from '../report/hosts.ts';
import type { Report } from '../report/model.ts';
import { SteadyClock } from '../report/steady.ts';
import { WatchReader } from '../report/watch.ts';
import type { Filter } from '../source/filter.ts';
import { EVERY_CAUSE } from '../texts/causes.ts';
import { textStream } from '../texts/stream.ts';
import { VERSION } from '../version.ts';
import type { Event } from '../wire/event.ts';
import type { Header } from '../wire/types.gen.ts';
import type { Values } from './declare.ts';
import type { REPORT } from './flags.ts';
import { Progress } from './progress.ts';
import { DamageReport, headerFor, narrowedTo, openStream } from './recording.ts';
import { causesCalled } from './run.ts';
import type { Texts } from './texts.ts';
import type { Beside } from './together.ts';

interface File {
  open(): Promise<Stream>;
  size_bytes: number;
  /** As it is told of on stderr, and as it is shown. */
  path: string;
  name: string;
  header: Header;
}

/** What recordings, captures and texts tell of all their hosts; null where it was interrupted. Throws UsageError. */
export async function postMortem(
  paths: string[],
  texts: Pick<Texts, 'moved' | 'logs' | 'told'>,
  filter: Filter,
  flags: Pick<Values<typeof REPORT>, 'cause' | 'all' | 'anonymize'>,
  interrupted: AbortSignal,
): Promise<Report | null> {
  const causes = causesCalled(flags.cause);
  const anonymizer = flags.anonymize ? new Anonymizer() : null;
  const files = await filesOf([...new Set(paths.map(real))], texts, filter, anonymizer);
  const wanted = ({ cause }: { cause: string }) =>
    cause === BENIGN.id ? flags.all : (causes?.has(cause) ?? true);
  const change = anonymizer && ((event: Event) => anonymizer.event(event));
  const total_bytes = files.reduce((sum, { size_bytes }) => sum + size_bytes, 0);

  const progress = new Progress(total_bytes);
  const hosts = byHost(files);
  const collections: HostCollection[] = [];
  for (const host of hosts) {
    const collection = new HostCollection(wanted);
    collections.push(collection);
    const whole = await collect(host, collection, filter, change, progress, interrupted);
    if (!whole) return null;
  }

  const draft = new Draft(collections);
  for (const [at, host] of hosts.entries()) {
    const clock = new SteadyClock();
    const onReport = (steady_ns: number) => draft.onReport(at, steady_ns);
    for (const file of host) {
      const { header } = file;
      const narrowed = narrowedTo(filter);
      const reader = new WatchReader(draft.watched, header, at, clock, onReport, change, narrowed);
      const whole = await eachPiece(file, progress, interrupted, ({ messages }) =>
        reader.push(messages),
      );
      if (!whole) return null;
    }
  }
  progress.end();
  return draft.report({ version: VERSION, anonymized: anonymizer !== null, causes: CAUSES });
}

/** Reads a host's files for what was found; false where it was interrupted. */
async function collect(
  host: readonly File[],
  collection: HostCollection,
  filter: Filter,
  change: ((event: Event) => Event) | null,
  progress: Progress,
  interrupted: AbortSignal,
): Promise<boolean> {
  for (const file of host) {
    const { path, name, header } = file;
    const pipeline = collection.open(name, header, EVERY_CAUSE, change, narrowedTo(filter));
    const damages = new DamageReport(path, pipeline.losses, (text) => progress.say(text));
    const whole = await eachPiece(file, progress, interrupted, ({ messages, damage }) => {
      pipeline.push(messages);
      if (damage) damages.add(damage);
    });
    if (!whole) return false;
    damages.end();
    collection.finish(pipeline);
  }
  return true;
}

/** How recordings and captures of several hosts are called, and by how much their clocks are off. Throws UsageError. */
export async function besideEachOther(paths: readonly string[], filter: Filter): Promise<Beside[]> {
  const texts = { moved: null, logs: [], told: [] };
  const files = await filesOf([...paths], texts, filter, null);
  const hosts = byHost(files);
  const progress = new Progress(files.reduce((sum, one) => sum + one.size_bytes, 0) / PASSES);
  const collections: HostCollection[] = [];
  for (const host of hosts) {
    const collection = new HostCollection(() => true);
    collections.push(collection);
    await collect(host, collection, filter, null, progress, NEVER);
  }
  progress.end();
  const { clocks, names } = new Draft(collections);
  return files.map((file) => {
    const at = hosts.findIndex((host) => host.includes(file));
    return { name: names[at] ?? file.path, correction_ns: clocks[at]?.correction_ns ?? 0 };
  });
}

/** Nothing interrupts it but the end of the process. */
const NEVER = new AbortController().signal;

/** All files, so that the header of each is known before any is read. */
async function filesOf(
  paths: string[],
  { moved, logs, told }: Pick<Texts, 'moved' | 'logs' | 'told'>,
  filter: Filter,
  anonymizer: Anonymizer | null,
): Promise<File[]> {
  // Of which of several hosts they are nobody says.
  const told_here = paths.length === 1 ? told : [];
  const all = [
    ...paths.map((path) => () => openStream(path, told_here)),
    ...[...(moved ? [moved] : []), ...logs].map((text) => async () => textStream(text)),
  ];
  const files: File[] = [];
  for (const [at, open] of all.entries()) {
    const stream = await open();
    await stream.close();
    const { path, size_bytes } = stream;
    const header = headerFor(stream.header, filter);
    const name = anonymizer ? `${KINDS[header.tier] ?? 'recording'}-${at + 1}` : path;
    files.push({ open, size_bytes, path, name, header: anonymizer?.header(header) ?? header });
  }
  return files;
}

/** What a file is called whose name is not told. */
const KINDS: Readonly<Record<string, string>> = {
  packets: 'capture',
  counters: 'counters',
  log: 'log',
};

/** A file is read twice: for what was found, and for what is drawn of it. */
const PASSES = 2;

/** False where it was interrupted. */
async function eachPiece(
  file: File,
  progress: Progress,
  interrupted: AbortSignal,
  take: (piece: Piece) => void,
): Promise<boolean> {
  const recording = await file.open();
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
    // A pipe that was inherited has a name there that nothing can be opened by.
    return statSync(path).isFIFO() ? path : realpathSync(path);
  } catch {
    return path;
  }
}
