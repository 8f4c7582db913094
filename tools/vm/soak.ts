// SPDX-License-Identifier: Apache-2.0
//
// Usage, as root: node tools/vm/soak.ts [--minutes N]
//
// A long run, in a virtual machine of two CPUs or more (make soak KERNEL=6.12 MINUTES=20): it sets the
// clock and takes CPUs away. Records in several files while known failures are made, of several causes and
// with both families, and meanwhile the clock is set, a module is loaded, a CPU goes offline and comes
// back, and two other recordings lose their terminal: one gets SIGHUP, one has nobody that reads its
// output. Then reads all files: each ends well, says when each failure was made by the clock of that
// moment, and all together count what was made, as the kernel's counters do. What differs is printed with
// what was expected, and the exit status is 1.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CAUSES } from '../../src/causes/registry.gen.ts';
import { Pipeline } from '../../src/diagnose/pipeline.ts';
import { Lab } from '../../src/lab/lab.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { clockOffset_ns } from '../../src/native/binding.ts';
import { RecordedStream } from '../../src/record/read.ts';
import type { Family } from '../../src/tcp/address.ts';
import type { Event } from '../../src/wire/event.ts';

const TCPWHY = fileURLToPath(new URL('../../build/tcpwhy', import.meta.url));
/** What they end with is all seen in the server's namespace, which is what is recorded. */
const MADE = ['no-listener', 'linger-zero-close', 'unread-data-on-close', 'accept-queue-full'];
const MOST_AT_ONCE = 9;
/** A tick, and that of a machine that is emulated: how long it takes until a step was seen. */
const SEEN_MS = 3000;
/** How far what the recording says may be from when it was made. */
const TOLERANCE_MS = 1500;
/** What is not told of the clock. */
const CLOCK_TOLERANCE_MS = 5;
/** Any of them that is not there yet. */
const MODULES = ['tcp_bbr', 'dummy', 'sch_fq'];
const CPU1 = '/sys/devices/system/cpu/cpu1/online';

interface Batch {
  cause: string;
  times: number;
  from_ms: number;
  to_ms: number;
}

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '20' } } });
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error(`--minutes ${values.minutes}: no number of minutes`);
if (availableParallelism() < 2) throw new Error('needs two CPUs');

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-soak-'));
const wrong: string[] = [];
const batches: Batch[] = [];
/** What the clock was set by. */
const steps_ms: number[] = [];
/** When failures were made on CPU 1, which had been away. */
const onCpu1: { what: string; from_ms: number; to_ms: number }[] = [];
const say = (text: string) => console.log(`${new Date().toISOString()} ${text}`);

function expect(what: string, seen: unknown, expected: unknown): void {
  const [is, shall] = [JSON.stringify(seen), JSON.stringify(expected)];
  if (is === shall) say(`ok: ${what}: ${is}`);
  else {
    wrong.push(`${what}: expected ${shall}, seen ${is}`);
    say(`WRONG: ${wrong.at(-1)}`);
  }
}

using lab = Lab.open();
const resetsBefore = lab.server.counter('Tcp', 'OutRsts');
const end_ms = performance.now() + minutes * 60_000;
const recorder = await record('all.tcpwhy.zst', '--max-age', '20s', '--keep', '100000');
let round = 0;
await during('with nothing else', 2);
await hangUp();
await loseOutput();
const disturbances = [
  () => step('an hour ahead', 3600),
  () => unplug('for seconds', 3000),
  () => step('half an hour back', -1800),
  () => loadModule(),
  () => unplug('for a moment', 0),
  () => step('20 ms ahead', 0.02),
];
for (let at = 0; at < disturbances.length || performance.now() < end_ms; at++) {
  await disturbances[at % disturbances.length]?.();
  await during('after it', 2);
}
await recorder.stop('SIGINT');
await judge();
for (const line of wrong) console.log(`WRONG: ${line}`);
const made = batches.reduce((sum, { times }) => sum + times, 0);
console.log(`${release()}: ${made} failures in ${minutes} minutes, ${wrong.length} wrong`);
lab.close();
process.exit(wrong.length === 0 ? 0 : 1);

/** `tcpwhy record`, once it watches. */
async function record(name: string, ...options: string[]) {
  const file = join(folder, name);
  const netns = String(lab.server.inode);
  const args = ['record', '-o', file, '--json', '--netns', netns, ...options];
  const child: ChildProcess = spawn(TCPWHY, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const { stdout } = child;
  if (!stdout) throw new Error('no pipe');
  await Promise.race([once(stdout, 'data'), ended]);
  if (child.exitCode !== null) throw new Error(`${name}: tcpwhy ended with ${child.exitCode}`);
  stdout.resume();
  const stop = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await ended;
    return child.exitCode;
  };
  return { file, stdout, stop };
}

/** So many rounds of all failures, with the one family and the other. */
async function during(what: string, rounds: number): Promise<void> {
  say(what);
  for (let time = 0; time < rounds; time++) {
    for (const id of MADE) make(id, round++);
    await pause(300);
  }
  await pause(SEEN_MS);
}

function make(id: string, at: number): void {
  const scenario = SCENARIOS.find((one) => one.id === id);
  if (!scenario) throw new Error(`no scenario ${id}`);
  const family: Family = (at + Math.floor(at / MADE.length)) % 2 === 0 ? 4 : 6;
  const times = 1 + ((5 * at) % MOST_AT_ONCE);
  const from_ms = Date.now();
  scenario.run(lab, { times, family });
  batches.push({ cause: scenario.cause, times, from_ms, to_ms: Date.now() });
}

async function step(what: string, by_s: number): Promise<void> {
  say(`the clock is set ${what}`);
  const before_ns = clockOffset_ns();
  const by_ms = () => Number(clockOffset_ns() - before_ns) / 1e6;
  // Starting date takes time, and what is left of a small step may be too little to be told.
  do execFileSync('date', ['-s', `@${(Date.now() / 1000 + by_s).toFixed(6)}`], { stdio: 'ignore' });
  while (Math.abs(by_ms()) < 2 * CLOCK_TOLERANCE_MS);
  steps_ms.push(by_ms());
  await pause(SEEN_MS);
}

async function loadModule(): Promise<void> {
  for (const name of MODULES) {
    try {
      execFileSync('modprobe', [name]);
      say(`module ${name} is loaded`);
      return;
    } catch {
      // This kernel has it built in, or not at all.
    }
  }
  expect('a module to load', null, MODULES);
}

/** Takes the second CPU away, and makes failures on it when it is back. */
async function unplug(what: string, away_ms: number): Promise<void> {
  say(`CPU 1 goes offline ${what}`);
  writeFileSync(CPU1, '0');
  if (away_ms > 0) {
    for (const id of MADE) make(id, round++);
    await pause(away_ms);
  }
  writeFileSync(CPU1, '1');
  if (away_ms > 0) await pause(SEEN_MS);
  const from_ms = Date.now();
  pin('1');
  for (let time = 0; time < 2; time++) {
    for (const id of MADE) make(id, round++);
    await pause(SEEN_MS);
  }
  pin('0-1');
  onCpu1.push({ what, from_ms, to_ms: Date.now() });
}

/** Runs on these CPUs only, as all that a connection on one host brings on does. */
function pin(cpus: string): void {
  execFileSync('taskset', ['-a', '-cp', cpus, String(process.pid)], { stdio: 'ignore' });
}

/** The terminal is gone: as Ctrl-C, but for who was started to outlive it. */
async function hangUp(): Promise<void> {
  const other = await record('hangup.tcpwhy');
  make('no-listener', round++);
  const times = batches.at(-1)?.times ?? 0;
  await pause(SEEN_MS);
  const status = await other.stop('SIGHUP');
  expect('exit status of the recording that got SIGHUP', status, 1);
  const { footer, counts } = await read(other.file);
  expect('end of the recording that got SIGHUP', footer?.end, 'interrupted');
  expect('what it has', counts, { 'no-listener': times });
}

/** Nobody reads what it prints any more. */
async function loseOutput(): Promise<void> {
  const other = await record('unread.tcpwhy');
  other.stdout.destroy();
  let times = 0;
  for (let time = 0; time < 3; time++) {
    make('no-listener', round++);
    times += batches.at(-1)?.times ?? 0;
    await pause(SEEN_MS / 3);
  }
  await pause(SEEN_MS);
  await other.stop('SIGINT');
  const { footer, counts } = await read(other.file);
  expect('end of the recording whose output nobody reads', footer?.end, 'interrupted');
  expect('what it has', counts, { 'no-listener': times });
}

async function judge(): Promise<void> {
  const names = readdirSync(folder)
    .filter((name) => name.startsWith('all.'))
    .sort();
  const counts: Record<string, number> = {};
  const lost: Record<string, number> = {};
  const told_ms: number[] = [];
  let resets = 0;
  const unseen = new Set(onCpu1);
  for (const [at, name] of names.entries()) {
    const file = await read(join(folder, name), (event, time_ms) => {
      if (event.cpu !== 1) return;
      for (const one of onCpu1) if (within(one, time_ms)) unseen.delete(one);
    });
    const last = at === names.length - 1;
    const ended = { end: file.footer?.end ?? null, damage: file.damage };
    const well = { end: last ? 'interrupted' : 'rotated', damage: 0 };
    if (last || ended.end !== well.end || ended.damage > 0)
      expect(`${name} ends well`, ended, well);
    for (const [cause, count] of Object.entries(file.counts))
      counts[cause] = (counts[cause] ?? 0) + count;
    for (const [loss, count] of file.losses) lost[loss] = (lost[loss] ?? 0) + count;
    resets += file.resets;
    told_ms.push(...file.steps_ms);
    for (const { cause, first_ms, last_ms } of file.findings) {
      for (const time_ms of [first_ms, last_ms]) {
        const when = batches.some((batch) => batch.cause === cause && within(batch, time_ms));
        if (!when)
          expect(
            `${name}: ${cause} was made`,
            new Date(time_ms).toISOString(),
            nearest(cause, time_ms),
          );
      }
    }
  }
  const made: Record<string, number> = {};
  for (const { cause, times } of batches) made[cause] = (made[cause] ?? 0) + times;
  const sorted = (of: Record<string, number>) => Object.fromEntries(Object.entries(of).sort());
  expect(`findings in ${names.length} files`, sorted(counts), sorted(made));
  expect('resets that they count', resets, lab.server.counter('Tcp', 'OutRsts') - resetsBefore);
  const off = (ms: number, at: number) => Math.abs(ms - (steps_ms[at] ?? 0)) > CLOCK_TOLERANCE_MS;
  const known = told_ms.length === steps_ms.length && !told_ms.some(off);
  expect('steps of the clock in ms', told_ms, known ? told_ms : steps_ms);
  expect('CPU 1 has records after it was offline', [...unseen], []);
  // Those that found no ring when CPU 1 was away for a moment only.
  const { records_lost = 0, ...others } = lost;
  say(`records that found no ring: ${records_lost}`);
  expect('what else was lost', others, {});
}

/** As they were made, by the clock of then. */
function nearest(cause: string, time_ms: number): string | null {
  const distance = ({ from_ms }: Batch) => Math.abs(from_ms - time_ms);
  const [batch] = batches
    .filter((one) => one.cause === cause)
    .sort((a, b) => distance(a) - distance(b));
  return batch ? new Date(batch.from_ms).toISOString() : null;
}

function within({ from_ms, to_ms }: { from_ms: number; to_ms: number }, time_ms: number): boolean {
  return time_ms >= from_ms - TOLERANCE_MS && time_ms <= to_ms + TOLERANCE_MS;
}

/** What a recording says, as replay would. */
async function read(file: string, see: (event: Event, time_ms: number) => void = () => {}) {
  const stream = await RecordedStream.open(file);
  const steps_ms: number[] = [];
  const pipeline = new Pipeline(
    stream.header,
    CAUSES,
    (event, _, time_ns) => see(event, time_ns / 1e6),
    (event) => {
      const clock = event.kind === 'fact' ? event.body.clock : null;
      // A file that goes on says once more what holds.
      if (clock && clock.offset_ns !== clock.was_ns)
        steps_ms.push(Number(BigInt(clock.offset_ns) - BigInt(clock.was_ns)) / 1e6);
      return event;
    },
  );
  let damage = 0;
  for await (const piece of stream.pieces()) {
    pipeline.push(piece.messages);
    if (piece.damage) damage++;
  }
  pipeline.finish();
  const findings = [...pipeline.engine.findings.values()]
    .map(({ finding }) => finding)
    .filter(({ count, cause }) => count > 0 && cause !== 'benign')
    .map(({ cause, count, first_ns, last_ns }) => {
      return { cause, count, first_ms: first_ns / 1e6, last_ms: last_ns / 1e6 };
    });
  const counts: Record<string, number> = {};
  for (const { cause, count } of findings) counts[cause] = (counts[cause] ?? 0) + count;
  return {
    ...{ findings, counts, damage, steps_ms },
    footer: pipeline.footer,
    losses: pipeline.losses.rows().map(({ name, count }) => [name, count] as const),
    resets: pipeline.counted.reset_sent ?? 0,
  };
}
