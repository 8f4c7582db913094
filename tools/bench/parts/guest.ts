// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/bench/parts/guest.ts CONNECTIONS COUNTER_OBJECT    in a virtual machine of one CPU
//
// Instructions of one connection without tracing, with a bare counter, and with tcpwhy in a storm:
// the kernel's part alone (the reader is stopped), and with the reader on the same CPU. Prints JSON.

import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Session } from '../../../src/native/binding.ts';

const [connections = '', counter = ''] = process.argv.slice(2);
const KINDS = ['refused', 'accepted', 'reset'] as const;
const COUNT = 5000;
/** Of a storm; and before it, until the reader's JavaScript is compiled and its memory is steady. */
const STORM = { refused: 100_000, accepted: 15_000, reset: 15_000 };
const STORM_BEFORE = { refused: 400_000, accepted: 30_000, reset: 30_000 };
/** The same where every record is kept, in the tier whose reader keeps up with that. */
const EVERY_RECORD = 50_000;
const EVERY_RECORD_BEFORE = 150_000;
const KEEPS_UP = 'hooks';
/** Connections whose every record the perf buffer holds while the reader is stopped. */
const UNREAD = 500;
/** More than a few ticks: what was not read yet is read then. */
const CATCH_UP_MS = 300;
const STARTED_MS = 50;

/** Of each figure but the reader's: the middle one counts. */
const REPEATS = 3;
/** As many as are made: where the table is full the kernel forgets connections sooner. */
const MAX_TIME_WAIT = 262_144;

const execConnections = promisify(execFile);
const figures: Record<string, Record<string, number>> = {};
execFileSync('ip', ['link', 'set', 'lo', 'up']);
writeFileSync('/proc/sys/net/ipv4/tcp_max_tw_buckets', String(MAX_TIME_WAIT));
await measure('warm-up, thrown away');
await measure('untraced');
const session = Session.attach({ object: counter, perfMap: 'events', ringBytes: 4096 });
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
    const row: Record<string, number> = {};
    for (const kind of KINDS) {
      await run(kind, STORM_BEFORE[kind]);
      row[kind] = await run(kind, STORM[kind]);
    }
    figures[`${tier}, with the reader`] = row;
  });
  await watched(tier, ['--every-record'], async (child) => {
    const unread = async (kind: string) => {
      await pause(CATCH_UP_MS);
      child.kill('SIGSTOP');
      const each = await run(kind, UNREAD);
      child.kill('SIGCONT');
      return each;
    };
    const row: Record<string, number> = { refused: await unread('refused') };
    figures[`${tier}, every record, kernel's part`] = row;
    await pause(CATCH_UP_MS);
    if (tier === KEEPS_UP) {
      await run('refused', EVERY_RECORD_BEFORE);
      const refused = await run('refused', EVERY_RECORD);
      figures[`${tier}, every record, with the reader`] = { refused };
    }
    // Last: a process that closes after a connect of its own failed may be why for a minute.
    row.accepted = await unread('accepted');
    row.reset = await unread('reset');
  });
}
delete figures['warm-up, thrown away'];
console.log(JSON.stringify({ release: release(), figures }));

/** Calls `measures` while tcpwhy watches. Throws where it is not of that tier; what did not keep up has no row. */
async function watched(
  tier: string,
  flags: string[],
  measures: (child: ChildProcess) => Promise<void>,
): Promise<void> {
  const command = ['trace', '--json', '--for', '60m', '--tier', tier, ...flags];
  // To a file: who reads a pipe would run on the same CPU.
  const output = `/run/${tier}${flags.join('')}.ndjson`;
  const child = spawn('build/tcpwhy', command, {
    stdio: ['ignore', openSync(output, 'w'), 'ignore'],
  });
  const closed = once(child, 'close');
  const lines = () => readFileSync(output, 'utf8').trim().split('\n');
  while (lines()[0] === '') await pause(STARTED_MS);
  const start = lines()[0] ?? '';
  if (JSON.parse(start).tier !== tier) throw new Error(`wanted tier ${tier}, got ${start}`);
  await measures(child);
  child.kill('SIGINT');
  await closed;
  const { lost } = JSON.parse(lines().at(-1) ?? '');
  if (flags.length > 0 && lost !== 0) {
    console.error(`${tier}: the reader did not keep up with every record, ${lost} were lost`);
    delete figures[`${tier}, every record, with the reader`];
  }
}

async function measure(name: string): Promise<void> {
  const row: Record<string, number> = {};
  for (const kind of KINDS) {
    const repeats: number[] = [];
    while (repeats.length < REPEATS) repeats.push(await run(kind, COUNT));
    row[kind] = repeats.sort((a, b) => a - b)[REPEATS >> 1] as number;
  }
  figures[name] = row;
}

/** Meanwhile other processes run: what they do is counted too. */
async function run(kind: string, count: number): Promise<number> {
  const { stdout } = await execConnections(connections, [kind, String(count)]);
  return Number(stdout);
}
