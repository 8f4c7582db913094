// SPDX-License-Identifier: Apache-2.0

import { type RunnerTask, type RunnerTestCase, type RunnerTestFile, TestRunner } from 'vitest';
import { Unseen } from './unseen.ts';

declare module 'vitest' {
  interface TaskMeta {
    /** How many tries failed while something happened that no program of BPF can see. */
    unseen?: number;
  }
}

/** So many tries that fail like that are not counted among those that vitest.config.ts permits. */
const MOST_UNSEEN = 3;

/** Skips every test, and runs no hook, where there is no root. */
export default class RootRunner extends TestRunner {
  #unseen: Unseen | null = null;

  onCollected(files: RunnerTestFile[]): void {
    if (process.getuid?.() !== 0) files.forEach(skip);
    else this.#unseen = Unseen.watch();
  }

  override async onBeforeRunTask(test: RunnerTask): Promise<void> {
    await super.onBeforeRunTask(test);
    const watched = this.#unseen;
    if (watched && test.type === 'test') test.retry = afresh(test, watched);
  }

  override onAfterRunFiles(files: RunnerTestFile[]): void {
    super.onAfterRunFiles(files);
    this.#unseen?.stop();
    this.#unseen = null;
  }
}

function afresh(test: RunnerTestCase, watched: Unseen): RunnerTestCase['retry'] {
  const permitted = typeof test.retry === 'number' ? test.retry : 0;
  let before = watched.count();
  let failed = 0;
  let unseen = 0;
  const condition = () => {
    const now = watched.count();
    if (now > before && unseen < MOST_UNSEEN) unseen++;
    else failed++;
    before = now;
    test.meta.unseen = unseen;
    return failed <= permitted;
  };
  return { count: permitted + MOST_UNSEEN, condition };
}

function skip(task: RunnerTask): void {
  task.mode = 'skip';
  if ('tasks' in task) task.tasks.forEach(skip);
}
