// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/bench/guest.ts CONNECTIONS COUNTER_OBJECT    in a virtual machine of one CPU
//
// Instructions of one connection without tracing, with a bare counter, and with tcpwhy in a storm:
// the kernel's part alone (the reader is stopped), and with the reader on the same CPU. Prints JSON.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { release } from 'node:os';
import { createInterface } from 'node:readline';
import { Session } from '../../src/native/binding.ts';

const [connections = '', counter = ''] = process.argv.slice(2);
const KINDS = ['refused', 'accepted', 'reset'] as const;
const COUNT = 1000;
/** Of a storm; and before it, until the reader's JavaScript is compiled and what it allocates is steady. */
const STORM = 20_000;
const WARM_UP = 40_000;
/** As many as the perf buffer holds the records of. */
const KEPT_COUNT = 500;

const figures: Record<string, Record<string, number>> = {};
execFileSync('ip', ['link', 'set', 'lo', 'up']);
measure('warm-up, thrown away');
measure('untraced');
const session = Session.attach({ object: counter, perfMap: 'events', perfPages: 1 });
if (!session.programs().every(({ attached }) => attached))
  throw new Error('the counter is not attached');
measure('bare counter');
session.close();

const lost: Record<string, number> = {};
for (const tier of ['hooks', 'tracepoints']) {
  await watched(tier, [], () => {
    measure(`${tier}, kernel's part`);
    return `${tier}, with the reader`;
  });
  await watched(tier, ['--every-record'], () => {
    figures[`${tier}, every record, kernel's part`] = { refused: run('refused', KEPT_COUNT) };
    return `${tier}, every record, with the reader`;
  });
}
delete figures['warm-up, thrown away'];
console.log(JSON.stringify({ release: release(), figures, lost }));

/** Measures while tcpwhy watches: with its reader stopped, then as `withReader` names it. */
async function watched(tier: string, flags: string[], stopped: () => string): Promise<void> {
  const command = ['trace', '--json', '--for', '60m', '--tier', tier, ...flags];
  const child = spawn('build/tcpwhy', command, { stdio: ['ignore', 'pipe', 'ignore'] });
  const closed = once(child, 'close');
  const lines = createInterface({ input: child.stdout });
  let last = '';
  const started = once(lines, 'line');
  lines.on('line', (line) => {
    last = line;
  });
  const [start] = await started;
  if (JSON.parse(start).tier !== tier) throw new Error(`wanted tier ${tier}, got ${start}`);
  // Uses up what the sampling lets through at first.
  for (const kind of KINDS) run(kind, 2000);
  child.kill('SIGSTOP');
  const name = stopped();
  child.kill('SIGCONT');
  run('refused', WARM_UP);
  figures[name] = { refused: run('refused', STORM) };
  child.kill('SIGINT');
  await closed;
  lost[name] = JSON.parse(last).lost;
}

function measure(name: string): void {
  figures[name] = Object.fromEntries(KINDS.map((kind) => [kind, run(kind, COUNT)]));
}

function run(kind: string, count: number): number {
  return Number(execFileSync(connections, [kind, String(count)], { encoding: 'utf8' }));
}
