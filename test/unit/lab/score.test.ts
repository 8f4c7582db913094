// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import type { Row } from '../../../src/lab/conformance.ts';
import { score } from '../../../src/lab/score.ts';
import { conformancePage } from '../../../src/sinks/conformance-page.ts';
import { rowLines, scoreLines } from '../../../src/sinks/lab.ts';

function row(cause: string, reported: Record<string, number>, more: Partial<Row> = {}): Row {
  return {
    ...{ scenario: cause, family: 4, cause, times: 7, beside: [], reported, unexplained: 0 },
    ...{ verdict: 'passed', why: null },
    ...more,
  };
}

it('counts what was told rightly, too seldom, and of another cause', () => {
  const scores = score([
    row('no-listener', { 'no-listener': 7 }),
    row('linger-zero-close', { 'linger-zero-close': 5, 'no-listener': 2 }),
    row('rp-filter', {}),
    row('netfilter-drop', { 'netfilter-drop': 9 }),
  ]);
  expect(scores).toEqual([
    { cause: 'linger-zero-close', expected: 7, reported: 5, precision: 1, recall: 5 / 7 },
    { cause: 'netfilter-drop', expected: 7, reported: 9, precision: 7 / 9, recall: 1 },
    { cause: 'no-listener', expected: 7, reported: 9, precision: 7 / 9, recall: 1 },
    { cause: 'rp-filter', expected: 7, reported: 0, precision: null, recall: 0 },
  ]);
  expect(scoreLines(scores)[1]).toMatch(/linger-zero-close +7 +5 +1\.00 +0\.71$/);
});

it('counts neither what was skipped nor what may stand beside', () => {
  const scores = score([
    row(
      'peer-collision',
      { 'peer-collision': 7, 'peer-rewritten': 7 },
      { beside: ['peer-rewritten'] },
    ),
    row('rp-filter', {}, { verdict: 'skipped', why: 'this kernel does not show drop' }),
  ]);
  expect(scores).toEqual([
    { cause: 'peer-collision', expected: 7, reported: 7, precision: 1, recall: 1 },
  ]);
});

it('says 1.00 only where it is all of them', () => {
  const rows = [row('no-listener', { 'no-listener': 999 }, { times: 1000, verdict: 'failed' })];
  expect(scoreLines(score(rows))[1]).toMatch(/ 0\.99$/);
});

it('tells the kernels on which a cause was not exact, and what was skipped', () => {
  const exact = [row('no-listener', { 'no-listener': 7 })];
  const wrong = [
    row('no-listener', { 'no-listener': 6 }, { verdict: 'failed' }),
    row('rp-filter', {}, { verdict: 'skipped', why: 'needs nft' }),
  ];
  const page = conformancePage(
    [
      { kernel: '5.10.0', tier: 'hooks', rows: wrong, scores: score(wrong) },
      { kernel: '6.18.0', tier: 'tracepoints', rows: exact, scores: score(exact) },
    ],
    score([...exact, ...wrong]),
    '2026-11-22',
  );
  expect(page).toContain(
    '| [no-listener](causes/no-listener.md) | 14 | 13 | 1.00 | 0.93 | 5.10.0 |',
  );
  expect(page).toContain('| 6.18.0 | tracepoints | 1 | 0 | 0 | 0 |');
  expect(page).toContain('| 5.10.0 | rp-filter IPv4 | needs nft |');
});

it('prints rows in 80 columns', () => {
  const lines = rowLines(
    row('accept-queue-full', { 'accept-queue-full': 7, 'connect-timeout': 3 }, { unexplained: 12 }),
  );
  expect(lines.every((line) => line.length <= 80)).toBe(true);
  expect(lines.join(' ')).toMatch(/unexplained 12/);
});
