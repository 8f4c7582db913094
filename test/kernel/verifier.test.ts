// SPDX-License-Identifier: Apache-2.0
//
// What the verifier goes through for each program is start-up time for every user, and a program
// that grows towards the limit fails on some kernel before it fails here. After a change that is
// meant: UPDATE_VERIFIED=1 npx vitest run test/kernel/verifier.test.ts, as root.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Session } from '../../src/native/binding.ts';
import { attach } from '../../src/source/attach.ts';

const BASELINE = join(import.meta.dirname, 'verifier.json');
const GROWTH = 1.1;

/** Instructions by kernel series and program. */
const baseline: Record<string, Record<string, number>> = existsSync(BASELINE)
  ? JSON.parse(readFileSync(BASELINE, 'utf8'))
  : {};
const series = release().split('.').slice(0, 2).join('.');

describe(`the verifier of Linux ${series}`, () => {
  let session: Session;
  let verified: Record<string, number>;

  beforeAll(() => {
    const filter = { port: null, host: null, netns: null };
    session = attach({ filter, records_per_s: 100, tier: 'hooks' }).session;
    const counted = session.verified().filter(({ count }) => count > 0);
    verified = Object.fromEntries(counted.map(({ name, count }) => [name, count]));
    if (process.env.UPDATE_VERIFIED) {
      baseline[series] = verified;
      writeFileSync(BASELINE, `${JSON.stringify(baseline, null, 2)}\n`);
    }
  });
  afterAll(() => session?.close());

  test('knows every program that is attached', () => {
    expect(Object.keys(verified).sort()).toEqual(Object.keys(baseline[series] ?? {}).sort());
  });

  test('goes through no program at more than a tenth above the baseline', () => {
    const grown = Object.entries(verified).filter(
      ([name, count]) => count > (baseline[series]?.[name] ?? 0) * GROWTH,
    );
    expect(grown).toEqual([]);
  });
});
