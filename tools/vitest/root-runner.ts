// SPDX-License-Identifier: Apache-2.0

import { type RunnerTask, type RunnerTestFile, TestRunner } from 'vitest';

/** Skips every test, and runs no hook, where there is no root. */
export default class RootRunner extends TestRunner {
  onCollected(files: RunnerTestFile[]): void {
    if (process.getuid?.() !== 0) files.forEach(skip);
  }
}

function skip(task: RunnerTask): void {
  task.mode = 'skip';
  if ('tasks' in task) task.tasks.forEach(skip);
}
