// SPDX-License-Identifier: Apache-2.0

import type { Reporter, SerializedError, TestCase, TestModule } from 'vitest/node';

/** Says what was skipped and why, and ends a run with `N passed, N failed`, and `, N skipped` if so. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const broken = modules
      .flatMap((module) => [module, ...module.children.allSuites()])
      .filter((part) => part.errors().length > 0);
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (...wanted: string[]) =>
      tests.filter((test) => wanted.includes(test.result().state)).length;
    for (const line of tests.flatMap(whySkipped)) console.log(line);

    const passed = count('passed');
    const failed = count('failed') + broken.length + errors.length;
    const skipped = count('skipped', 'pending');
    if (modules.some(({ project }) => project.name === 'kernel') && process.getuid?.() !== 0) {
      console.log('The tests on this kernel were skipped: they need root.\n');
    }
    console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`);
  }
}

function whySkipped(test: TestCase): string[] {
  const result = test.result();
  return result.state === 'skipped' && result.note
    ? [`skipped: ${test.fullName}: ${result.note}`]
    : [];
}
