// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { failureText } from '../../../src/app/failure.ts';
import { UsageError } from '../../../src/app/usage.ts';

it('says what the system refused and what helps, without where in the code', () => {
  const code = { code: 'EMFILE' };
  const text = failureText(Object.assign(new Error('perf buffer: too many open files'), code));
  expect(text).toBe(
    'the system refused something: perf buffer: too many open files\n  Raise the limit of open files: ulimit -n.',
  );
  expect(thrown(() => readFileSync('/nowhere/at/all'))).toBe(
    "the system refused something: ENOENT: no such file or directory, open '/nowhere/at/all'",
  );
});

it('says wrong usage as it is', () => {
  expect(failureText(new UsageError('no such cause'))).toBe('no such cause');
});

it('asks for a report of what only a fault of its own explains', () => {
  const text = thrown(() => JSON.parse('{'));
  expect(text).toMatch(/^a fault of tcpwhy itself; please report it with this:\nSyntaxError/);
  expect(text).toMatch(/\n\s+at /);
});

function thrown(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return failureText(error);
  }
  throw new Error('nothing was thrown');
}
