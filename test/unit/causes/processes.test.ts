// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { endAdvice, endText, exitText } from '../../../src/causes/shared/processes.ts';

const advice = (signal: number) => endAdvice(exitText(signal), '10.1.0.1:80');

test.each([15, 2, 1, 3])('signal %i asks a process to stop, and leaves no core', (signal) => {
  expect(advice(signal)).toContain('was told to stop');
  expect(advice(signal)).not.toContain('coredumpctl');
});

test('of signals that a fault brings there may be a core', () => {
  for (const fault of [4, 6, 7, 8, 11]) expect(advice(fault)).toContain('coredumpctl list');
});

test('what ends a process by its own doing is said', () => {
  expect(advice(13)).toContain('SIGPIPE');
  expect(advice(14)).toContain('alarm()');
  expect(advice(24)).toContain('RLIMIT_CPU');
  expect(advice(31)).toContain('seccomp');
});

test('who was killed, and who ended', () => {
  expect(endText(exitText(9))).toBe('its process was killed (SIGKILL)');
  expect(endText(exitText(1 << 8))).toBe('its process ended (exit status 1)');
});
