// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { NEEDS } from '../software/healthy.ts';
import { lacking } from '../software/service.ts';
import { TWELVE, together } from '../software/together.ts';

const SECONDS = Number(process.env.SECONDS ?? 3);

it('tells twelve failures apart that happen at once on a busy host', {
  timeout: 60_000 + 1000 * SECONDS,
}, async ({ skip }) => {
  const missing = lacking(...NEEDS, 'bpftool');
  skip(missing !== null, missing ?? '');
  const { failures, ofHealthy } = await together(SECONDS);
  expect(failures).toHaveLength(TWELVE.length);
  for (const { cause, beside, made, reported } of failures) {
    const told = Object.entries(reported).filter(([one]) => !beside.includes(one));
    expect(Object.fromEntries(told)).toEqual({ [cause]: made });
  }
  expect(ofHealthy).toEqual({});
});
