// SPDX-License-Identifier: Apache-2.0

import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/** Ends a run with `N passed, N failed`, and `, N skipped` where there are any. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const broken = modules
      .flatMap((module) => [module, ...module.children.allSuites()])
      .filter((part) => part.errors().length > 0);
    const states = modules.map((module) =>
      [...module.children.allTests()].map((test) => test.result().state),
    );
    const count = (...wanted: string[]) =>
      states.flat().filter((state) => wanted.includes(state)).length;

    const passed = count('passed');
    const failed = count('failed') + broken.length + errors.length;
    const skipped = count('skipped', 'pending');
    if (modules.some(({ project }) => project.name === 'kernel') && process.getuid?.() !== 0) {
      console.log('The tests on this kernel were skipped: they need root.\n');
    }
    console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`);
  }
}
