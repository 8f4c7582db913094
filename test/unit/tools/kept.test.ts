// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { merged, resultsOf } from '../../../tools/vm/kept.ts';
import type { Result } from '../../../tools/vm/result.ts';

const page = (cell: string) => `
| scenario | 5.10 | 6.1 |
| --- | --- | --- |
| accept-queue-full IPv4 | 7 | ${cell} |
| of-the-past IPv4 | 7 | 7 |
| no-listener IPv4 | - needs luck | not run |

## Hooks

| fact | 5.10 (hooks) | 6.1 (tracepoints) |
| --- | --- | --- |
| syn_fate | fentry/a<br>fexit/b | - too old |
`;

const row = (scenario: string, unexplained: number): Result['rows'][number] => ({
  ...{ scenario, family: 4, cause: scenario, times: 7, beside: [] },
  ...{ reported: { [scenario]: 7 }, unexplained, verdict: 'passed', why: null },
});

test('what the page says of each kernel, but for scenarios that are no more', () => {
  expect(resultsOf(page('7 (+2)'))).toEqual([
    {
      ...{ release: '5.10', tier: 'hooks', verified: {} },
      hooks: [{ fact: 'syn_fate', hook: 'fentry/a + fexit/b', reason: '' }],
      rows: [
        row('accept-queue-full', 0),
        { ...row('no-listener', 0), reported: {}, verdict: 'skipped', why: 'needs luck' },
      ],
    },
    {
      ...{ release: '6.1', tier: 'tracepoints', verified: {} },
      hooks: [{ fact: 'syn_fate', hook: '', reason: 'too old' }],
      rows: [row('accept-queue-full', 2)],
    },
  ]);
});

test('a row that was not exact has to be made again', () => {
  expect(() => resultsOf(page('no-listener 1'))).toThrow('accept-queue-full IPv4: no-listener 1');
});

test('newer rows take the place of those before, in the order of the scenarios', () => {
  const of = (release: string, ...rows: Result['rows']): Result => ({
    ...{ release, tier: 'hooks', verified: {}, hooks: [], rows },
  });
  const before = [of('5.10', row('accept-queue-full', 1), row('no-listener', 1))];
  const newer = [
    of('5.10', row('connect-refused', 0), row('no-listener', 0)),
    of('6.1', row('no-listener', 0)),
  ];
  expect(merged(before, newer)).toEqual([
    of('5.10', row('accept-queue-full', 1), row('connect-refused', 0), row('no-listener', 0)),
    of('6.1', row('no-listener', 0)),
  ]);
});
