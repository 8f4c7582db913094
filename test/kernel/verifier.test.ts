// SPDX-License-Identifier: Apache-2.0
//
// What the verifier goes through for each program is start-up time for every user, and a program
// that grows towards the limit fails on some kernel before it fails here. After a change that is
// meant: UPDATE_VERIFIED=1 npx vitest run test/kernel/verifier.test.ts, as root. Those of the other
// kernels are compared by make vm-test.

import { release } from 'node:os';
import { beforeAll, describe, expect, test } from 'vitest';
import { EVERYTHING } from '../../src/source/filter.ts';
import { LiveSource } from '../../src/source/live.ts';
import { readBaseline, seriesOf, worse, writeBaseline } from '../../tools/vm/verified.ts';

const baseline = readBaseline();

describe(`the verifier of Linux ${release()}`, () => {
  let series: string;
  let verified: Record<string, number>;

  beforeAll(() => {
    const source = LiveSource.open({ filter: EVERYTHING, records_per_s: 100, tier: 'hooks' });
    series = seriesOf(release(), source.header.tier);
    verified = source.verified();
    source.close();
    if (process.env.UPDATE_VERIFIED) {
      baseline[series] = verified;
      writeBaseline(baseline);
    }
  });

  test('goes through every program of the baseline and no other, none at more than a tenth above it', () => {
    expect(worse(verified, baseline[series])).toEqual([]);
  });
});
