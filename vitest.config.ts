// SPDX-License-Identifier: Apache-2.0

import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * On a machine that is busy with something else the kernel sends SYNs again, and more happens than
 * was made to happen. What fails twice is a failure, and so is a run in which more than a few need the
 * second try (tools/vitest/closing-line.ts). On some no tracing program runs while a supervisor is on the
 * CPU (docs/hooks.md): tries that this explains are not counted (tools/vitest/root-runner.ts).
 */
const RETRY = 1;

/**
 * Tests on this kernel that have it to themselves: they load it, change a limit of the whole host, use up what it has
 * only once, leave namespaces that any lab would sweep away, or say that nothing failed at all.
 */
const ALONE = [
  ...['captured-healthy', 'causes', 'churn', 'counters-of-host', 'healthy', 'lab', 'months'],
  ...['plain-user', 'storm', 'together'],
].map((name) => `test/kernel/${name}.test.ts`);

/** While one of these ended last, other workers would have nothing to do. */
const LONG = /\/(damage|kernel\/(counters|faults))\b/;

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => Number(LONG.test(moduleId));
    return (await super.sort(files)).toSorted((a, b) => isLong(b) - isLong(a));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongFirst },
    reporters: ['default', './tools/vitest/closing-line.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/{unit,cli,damage}/**/*.test.{ts,tsx}'],
          // Else it is one less than there are CPUs, and what waits for a terminal or a browser keeps one from working.
          maxWorkers: availableParallelism() + 1,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'causes',
          include: ['test/kernel/causes/*.test.ts'],
          runner: './tools/vitest/root-runner.ts',
          maxWorkers: 2,
          retry: RETRY,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'kernel',
          include: ['test/kernel/*.test.ts'],
          exclude: ALONE,
          runner: './tools/vitest/root-runner.ts',
          maxWorkers: 2,
          retry: RETRY,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: 'kernel-alone',
          include: ALONE,
          runner: './tools/vitest/root-runner.ts',
          fileParallelism: false,
          retry: RETRY,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          name: 'vm',
          include: ['test/vm/*.test.ts'],
          runner: './tools/vitest/root-runner.ts',
          maxWorkers: 2,
          maxConcurrency: 2,
          retry: RETRY,
          testTimeout: 1_200_000,
          hookTimeout: 600_000,
          sequence: { groupOrder: 4 },
        },
      },
      {
        test: {
          name: 'fleet',
          include: ['test/fleet/**/*.test.ts'],
          runner: './tools/vitest/root-runner.ts',
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 600_000,
          sequence: { groupOrder: 5 },
        },
      },
    ],
  },
});
