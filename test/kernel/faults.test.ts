// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import { type Faults, faults } from '../../tools/torture/faults.ts';
import { lacking } from '../software/service.ts';
import { TCPWHY } from './tcpwhy.ts';

/** Of the places where a system call is made; `make torture` tries more. */
const PLACES = 2;

it('says what failed and ends, or goes on, whichever system call fails', {
  timeout: 600_000,
}, async ({ skip }) => {
  const missing = lacking('strace');
  skip(missing !== null, missing ?? '');
  using lab = Lab.open();
  const all: Faults[] = [];
  for await (const one of faults(TCPWHY, String(lab.server.inode), PLACES, ['record']))
    all.push(one);
  expect(all.flatMap(({ wrong }) => wrong)).toEqual([]);
  // The rings are what nothing goes without.
  const rings = all.filter(({ call, of }) => call === 'mmap' && of.includes('perf_event'));
  expect(rings.map(({ tried, ended }) => ended === tried && tried > 0)).toEqual([true]);
});
