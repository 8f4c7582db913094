// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import type { Told } from '../../../src/report/told.ts';
import { reportHtml } from '../../../src/sinks/report-html/page.ts';
import { reportMarkdown } from '../../../src/sinks/report-md/page.ts';
import { FINDING } from '../agent/records.ts';
import { ofManyHosts, reported, told } from './of-told.ts';

test('findings of two hosts about one connection are joined, of one host not, and not hours later', () => {
  const other = { cause: 'connect-refused' };
  const joined = (all: Told[]) => reported(all).findings.map(({ elsewhere }) => elsewhere.length);
  expect(joined([told('a'), told('b', other)])).toEqual([1, 1]);
  expect(joined([told('a'), told('a', other)])).toEqual([0, 0]);
  const last_ns = FINDING.last_ns + 301e9;
  expect(joined([told('a'), told('b', { ...other, last_ns })])).toEqual([0, 0]);
});

test('what a finding grew by stands where that was told', () => {
  const [one, id] = [told('a', { count: 10 }), 'a '];
  const growth = [
    { id, time_ns: FINDING.last_ns - 400e9, count: 4 },
    { id, time_ns: FINDING.last_ns, count: 10 },
    { id: 'of another', time_ns: FINDING.last_ns, count: 7 },
    // Told after the finding was read.
    { id, time_ns: FINDING.last_ns + 400e9, count: 12 },
  ];
  const { timeline } = reported([one], growth);
  expect(timeline.lanes).toMatchObject([{ cause: 'no-listener' }]);
  expect(timeline.lanes[0]?.counts.filter((count) => count > 0)).toEqual([4, 6]);
});

test('pages name hosts that are too many for a sentence in a table, and what was not read', () => {
  const report = ofManyHosts();
  for (const page of [reportHtml(report), reportMarkdown(report)]) {
    expect(page).toContain('host-0, host-1, host-2, host-3, host-4 and 145 other hosts');
    expect(page).toContain('only the weightiest were read');
    expect(page).toContain('host-149');
    expect(page).toContain('50 hosts with fewer failures');
    expect(page).not.toContain('Nothing was lost');
    expect(page).not.toContain('cut off');
  }
});

test('two hosts of one name are told apart', () => {
  const all = [told('id-1'), told('id-2')].map((one) => ({ ...one, host: 'web' }));
  expect(reported(all).told?.hosts.map(({ name }) => name)).toEqual(['web (id-1)', 'web (id-2)']);
});

test('two hosts of one id, as of one image, are told apart by their names', () => {
  const all = ['web', 'db'].map((host) => ({
    ...told('image', { cause: `seen-by-${host}` }),
    host,
  }));
  const { told: of, findings } = reported(all);
  expect(of?.hosts.map(({ name }) => name)).toEqual(['web', 'db']);
  expect(findings.map(({ elsewhere }) => elsewhere.length)).toEqual([1, 1]);
});

test('nothing found is a page too', () => {
  expect(reportMarkdown(reported([]))).toContain('saw no TCP failure with a known cause');
});
