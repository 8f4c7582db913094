// SPDX-License-Identifier: Apache-2.0

import type { Reporter, SerializedError, TestCase, TestModule, TestSuite } from 'vitest/node';

/** More tests than this that pass only when they are run again are a failure of their own. */
const MOST_AGAIN = 3;

/**
 * Says what was skipped and why, which tests needed a second try, and last which failed, and ends a run
 * with `N passed, N failed`, and `, N skipped` if so.
 */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const broken = modules
      .flatMap((module) => [module, ...module.children.allSuites()])
      .filter((part) => part.errors().length > 0);
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (...wanted: string[]) =>
      tests.filter((test) => wanted.includes(test.result().state)).length;
    for (const line of tests.flatMap(whySkipped)) console.log(line);

    const again = tests.filter((test) => test.diagnostic()?.flaky);
    for (const test of again) {
      const unseen = test.meta().unseen ? ', what happened was not all to be seen' : '';
      console.log(`second try${unseen}: ${test.fullName}: ${firstError(test)}`);
    }
    const unsteady = again.filter(isUnexplained).length > MOST_AGAIN;
    if (unsteady) process.exitCode = 1;
    if (again.length > 0)
      console.log(
        `${again.length} needed a second try${unsteady ? `: more than ${MOST_AGAIN} is a failure` : ''}\n`,
      );

    for (const part of broken) console.log(`failed: ${nameOf(part)}: ${messageOf(part.errors())}`);
    for (const test of tests.filter((one) => one.result().state === 'failed'))
      console.log(
        `failed: ${test.module.relativeModuleId} > ${test.fullName}: ${firstError(test)}`,
      );
    for (const error of errors) console.log(`failed outside of tests: ${messageOf([error])}`);

    const passed = count('passed');
    const failed = count('failed') + broken.length + errors.length + (unsteady ? 1 : 0);
    const skipped = count('skipped', 'pending');
    if (modules.some(({ project }) => project.name === 'kernel') && process.getuid?.() !== 0) {
      console.log('The tests on this kernel were skipped: they need root.\n');
    }
    console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`);
  }
}

/** Other than by what process 1 kept BPF from seeing (root-runner.ts). */
function isUnexplained(test: TestCase): boolean {
  return (test.diagnostic()?.retryCount ?? 0) > (test.meta().unseen ?? 0);
}

/** What failed first, in one line: where only the end of a log is kept, each counts. */
function firstError(test: TestCase): string {
  return messageOf(test.result().errors ?? []);
}

function messageOf([error]: readonly SerializedError[]): string {
  return `${error?.message ?? ''}\n${error?.diff ?? ''}`
    .trim()
    .replace(/\s*\n\s*/g, ' | ')
    .slice(0, 2000);
}

function nameOf(part: TestModule | TestSuite): string {
  return part.type === 'suite' ? part.fullName : part.relativeModuleId;
}

function whySkipped(test: TestCase): string[] {
  const result = test.result();
  return result.state === 'skipped' && result.note
    ? [`skipped: ${test.fullName}: ${result.note}`]
    : [];
}
