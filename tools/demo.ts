// SPDX-License-Identifier: Apache-2.0
// Shows tcpwhy at work while real failures are made in private network namespaces.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { lacks } from '../src/lab/conformance.ts';
import { Lab } from '../src/lab/lab.ts';
import type { Scenario } from '../src/lab/scenario.ts';
import { SCENARIOS } from '../src/lab/scenarios.ts';

/** A child of ours makes the failures. */
const FAILURES = '--failures';
/** Makes the recording anew, as root. */
const RECORD = '--record';
const ROUNDS_RECORDED = 1;
const PAUSE_MS = 300;
const TCPWHY = fileURLToPath(new URL('../build/tcpwhy', import.meta.url));
const RECORDING = fileURLToPath(new URL('../test/recordings/demo.tcpwhy', import.meta.url));

if (process.argv[2] === FAILURES) {
  process.once('disconnect', () => process.exit());
  await makeFailures();
} else if (process.argv[2] === RECORD) {
  await record();
} else {
  // Ctrl-C is for tcpwhy, which then prints its verdict.
  process.on('SIGINT', () => {});
  process.exitCode = process.getuid?.() === 0 ? await showFailures() : await showRecording();
}

async function showFailures(): Promise<number> {
  const failures = spawn(process.execPath, [import.meta.filename, FAILURES], {
    // Nothing but the live screen writes to a terminal.
    stdio: ['ignore', 'ignore', process.stdout.isTTY ? 'ignore' : 'inherit', 'ipc'],
    // Its own group: it ends when we do, and not by Ctrl-C.
    detached: true,
  });
  const over = once(failures, 'exit');
  try {
    return await tcpwhy(process.stdout.isTTY ? ['top'] : ['trace', '--for', '20s']);
  } finally {
    if (failures.connected) failures.disconnect();
    await over;
  }
}

function showRecording(): Promise<number> {
  process.stderr.write(
    'Without root nothing can be watched: this is a recording. For the real thing: sudo make demo\n',
  );
  return tcpwhy(process.stdout.isTTY ? ['top', '--from', RECORDING] : ['replay', RECORDING]);
}

async function record(): Promise<void> {
  const child = spawn(TCPWHY, ['record', '-o', RECORDING, '--force', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const over = once(child, 'exit');
  // The first line is printed when it watches.
  await once(child.stdout, 'data');
  child.stdout.resume();
  await makeFailures(ROUNDS_RECORDED);
  child.kill('SIGINT');
  await over;
}

/** Findings are what a demo is for: status 1 is none of its failures. */
async function tcpwhy(args: string[]): Promise<number> {
  const child = spawn(TCPWHY, args, { stdio: 'inherit' });
  const [status] = await once(child, 'exit');
  return status === 1 ? 0 : (status ?? 2);
}

/** One after the other, again and again, each in a lab that stays. */
async function makeFailures(rounds = Number.POSITIVE_INFINITY): Promise<void> {
  const scenarios = SCENARIOS.filter((scenario) => lacks(scenario, 4) === null);
  const labs = new Map<Scenario, Lab>();
  for (let round = 0; round < rounds; round++) {
    for (const [index, scenario] of scenarios.entries()) {
      const family =
        scenario.families[(index + Math.floor(index / 2)) % scenario.families.length] ?? 4;
      const options = { times: 1 + ((round + 3 * index) % 5), family };
      let lab = labs.get(scenario);
      try {
        if (!lab) {
          lab = Lab.open();
          labs.set(scenario, lab);
          scenario.prepare?.(lab, options);
        }
        scenario.run(lab, options);
      } catch (error) {
        console.error(`demo: ${scenario.id}: ${error}`);
        lab?.close();
        labs.delete(scenario);
      }
      await setTimeout(PAUSE_MS);
    }
  }
}
