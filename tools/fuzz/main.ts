// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/fuzz/main.ts [MINUTES [SEED]]    (make fuzz)
//
// Makes recordings of valid but senseless events and every output of each. What fails is kept as
// build/fuzz/SEED.tcpwhy; with SEED it begins there.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { RecordingError } from '../../src/record/read.ts';
import { random } from '../../test/unit/diagnose/random.ts';
import { recordingOf, seedsOf } from './events.ts';
import { checkOutputs } from './outputs.ts';

/** Of CPU time: on a machine that is busy with something else everything takes longer. */
const HANG_MS = 10_000;
const KEPT = 'build/fuzz';
const MOST_SHOWN = 20;

interface Told {
  seed: number;
  failure: string | null;
}

if (isMainThread) await lead();
else await work(workerData as { seed: number; file: string });

async function lead(): Promise<void> {
  process.chdir(join(import.meta.dirname, '../..'));
  const [minutes = '10', first = String(Date.now() % 2 ** 31)] = process.argv.slice(2);
  const end_ms = performance.now() + Number(minutes) * 60_000;
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-fuzz-'));
  const file = join(folder, 'x.tcpwhy');
  const failures = new Map<string, number[]>();
  let tried = 0;
  let slowest_ms = 0;
  try {
    for (let seed = Number(first); performance.now() < end_ms; ) {
      seed = await until(end_ms, { seed, file }, ({ seed: done, failure }, took_ms) => {
        tried++;
        slowest_ms = Math.max(slowest_ms, took_ms);
        if (failure === null) return;
        const kind = failure.split('\n')[0]?.slice(0, 60) ?? '';
        if (!failures.has(kind) && failures.size < MOST_SHOWN) {
          mkdirSync(KEPT, { recursive: true });
          writeFileSync(join(KEPT, `${done}.tcpwhy`), readFileSync(file));
          console.log(`${KEPT}/${done}.tcpwhy: ${failure}\n`);
        }
        failures.set(kind, [...(failures.get(kind) ?? []), done]);
      });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  const failed = [...failures.values()].flat().length;
  console.log(
    `${tried} recordings, the slowest ${Math.round(slowest_ms)} ms of CPU: ${failed} failed in ${failures.size} ways`,
  );
  process.exitCode = failed > 0 ? 1 : 0;
}

/** Until the time is over, or one hangs: the seed after it. */
function until(
  end_ms: number,
  given: { seed: number; file: string },
  take: (told: Told, took_ms: number) => void,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(import.meta.filename, { workerData: given });
    let next = given.seed;
    let since_ms = cpuTime();
    const watch = setInterval(() => {
      const took_ms = cpuTime() - since_ms;
      const hangs = took_ms > HANG_MS;
      if (hangs) take({ seed: next, failure: `hangs for ${HANG_MS} ms` }, took_ms);
      if (!hangs && performance.now() < end_ms) return;
      clearInterval(watch);
      void worker.terminate().then(() => resolve(next + 1));
    }, 100);
    worker.on('message', (told: Told) => {
      const now_ms = cpuTime();
      take(told, now_ms - since_ms);
      since_ms = now_ms;
      next = told.seed + 1;
    });
    worker.on('error', reject);
  });
}

function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** What it says of the file holds when it says it: the next one is made after that was taken in. */
async function work({ seed, file }: { seed: number; file: string }): Promise<void> {
  const seeds = seedsOf('test/recordings');
  for (let at = seed; ; at++) {
    writeFileSync(file, recordingOf(seeds, random(at)));
    let failure: string | null = null;
    try {
      await checkOutputs(file);
    } catch (error) {
      // Such a file is refused, and says why.
      if (!(error instanceof RecordingError))
        failure = error instanceof Error ? `${error.message}\n${error.stack ?? ''}` : String(error);
    }
    const told: Told = { seed: at, failure };
    parentPort?.postMessage(told);
  }
}
