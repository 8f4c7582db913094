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
const COUNT = 5000;
const STORM = 50_000;

const figures: Record<string, Record<string, number>> = {};
execFileSync('ip', ['link', 'set', 'lo', 'up']);
measure('warm-up, thrown away');
measure('untraced');
const session = Session.attach({ object: counter, perfMap: 'events', perfPages: 1 });
if (!session.programs().every(({ attached }) => attached))
  throw new Error('the counter is not attached');
measure('bare counter');
session.close();

for (const tier of ['hooks', 'tracepoints']) {
  const child = spawn('build/tcpwhy', ['trace', '--json', '--for', '10m', '--tier', tier], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const lines = createInterface({ input: child.stdout });
  const [start] = await once(lines, 'line');
  if (JSON.parse(start).tier !== tier) throw new Error(`wanted tier ${tier}, got ${start}`);
  // Uses up what the sampling lets through at first.
  for (const kind of KINDS) run(kind, 2000);
  child.kill('SIGSTOP');
  measure(`${tier}, kernel's part`);
  child.kill('SIGCONT');
  run('refused', STORM);
  figures[`${tier}, with the reader`] = { refused: run('refused', STORM) };
  child.kill('SIGINT');
  await once(child, 'close');
}
delete figures['warm-up, thrown away'];
console.log(JSON.stringify({ release: release(), figures }));

function measure(name: string): void {
  figures[name] = Object.fromEntries(KINDS.map((kind) => [kind, run(kind, COUNT)]));
}

function run(kind: string, count: number): number {
  return Number(execFileSync(connections, [kind, String(count)], { encoding: 'utf8' }));
}
