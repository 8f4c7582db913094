// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/bench/guest.ts CONNECTIONS COUNTER_OBJECT    in a virtual machine of one CPU
//
// Instructions of one connection without tracing, with a bare counter, and with tcpwhy in a storm:
// the kernel's part alone (the reader is stopped), and with the reader on the same CPU. Prints JSON.

import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Session } from '../../src/native/binding.ts';

const [connections = '', counter = ''] = process.argv.slice(2);
const KINDS = ['refused', 'accepted', 'reset'] as const;
const COUNT = 5000;
/** Of a storm; and before it, until the reader's JavaScript is compiled and what it allocates is steady. */
const STORM = 50_000;
const STORM_BEFORE = 200_000;
/** Where every record is kept: the perf buffer holds those of one round, read before the next one. */
const ROUND = 700;
const WARM_UP_ROUNDS = 40;
const ROUNDS = 20;
/** More than a tick, in which an idle reader runs for less than IDLE_NS. */
const LOOK_MS = 40;
const IDLE_NS = 2e6;

const execConnections = promisify(execFile);
const figures: Record<string, Record<string, number>> = {};
execFileSync('ip', ['link', 'set', 'lo', 'up']);
await measure('warm-up, thrown away');
await measure('untraced');
const session = Session.attach({ object: counter, perfMap: 'events', perfPages: 1 });
if (!session.programs().every(({ attached }) => attached))
  throw new Error('the counter is not attached');
await measure('bare counter');
session.close();

for (const tier of ['hooks', 'tracepoints']) {
  await watched(tier, [], async (child) => {
    // Uses up what the sampling lets through at first.
    for (const kind of KINDS) await run(kind, 2000);
    child.kill('SIGSTOP');
    await measure(`${tier}, kernel's part`);
    child.kill('SIGCONT');
    await run('refused', STORM_BEFORE);
    figures[`${tier}, with the reader`] = { refused: await run('refused', STORM) };
  });
  await watched(tier, ['--every-record'], async (child) => {
    await rounds(child, WARM_UP_ROUNDS);
    const { kernel, reader } = await rounds(child, ROUNDS);
    figures[`${tier}, every record, kernel's part`] = { refused: kernel };
    figures[`${tier}, every record, with the reader`] = { refused: kernel + reader };
  });
}
delete figures['warm-up, thrown away'];
console.log(JSON.stringify({ release: release(), figures }));

/** Calls `measures` while tcpwhy watches. Throws where it is not of that tier, or kept not all it should. */
async function watched(
  tier: string,
  flags: string[],
  measures: (child: ChildProcess) => Promise<void>,
): Promise<void> {
  const command = ['trace', '--json', '--for', '60m', '--tier', tier, ...flags];
  const child = spawn('build/tcpwhy', command, { stdio: ['ignore', 'pipe', 'ignore'] });
  const closed = once(child, 'close');
  const lines = createInterface({ input: child.stdout });
  const started = once(lines, 'line');
  let last = '';
  lines.on('line', (line) => {
    last = line;
  });
  const [start] = await started;
  if (JSON.parse(start).tier !== tier) throw new Error(`wanted tier ${tier}, got ${start}`);
  await measures(child);
  child.kill('SIGINT');
  await closed;
  if (flags.length > 0 && JSON.parse(last).lost !== 0)
    throw new Error(`records were lost: ${last}`);
}

/** Instructions of one refused connection: of itself while the reader is stopped, and of the reader then. */
async function rounds(child: ChildProcess, count: number) {
  let kernel = 0;
  const before = cpu_ns(child);
  for (let round = 0; round < count; round++) {
    child.kill('SIGSTOP');
    kernel += (await run('refused', ROUND)) / count;
    child.kill('SIGCONT');
    await idle(child);
  }
  const reader = (cpu_ns(child) - before) / (count * ROUND);
  return { kernel: Math.round(kernel), reader: Math.round(reader) };
}

async function idle(child: ChildProcess): Promise<void> {
  for (;;) {
    const before = cpu_ns(child);
    await pause(LOOK_MS);
    if (cpu_ns(child) - before < IDLE_NS) return;
  }
}

/** What all its threads have run so far. */
function cpu_ns({ pid }: ChildProcess): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((thread) =>
      Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
    )
    .reduce((sum, ran_ns) => sum + ran_ns, 0);
}

async function measure(name: string): Promise<void> {
  const row: Record<string, number> = {};
  for (const kind of KINDS) row[kind] = await run(kind, COUNT);
  figures[name] = row;
}

/** Meanwhile what tcpwhy prints is read. */
async function run(kind: string, count: number): Promise<number> {
  const { stdout } = await execConnections(connections, [kind, String(count)]);
  return Number(stdout);
}
