// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { COLUMNS, cellText, csvSink } from '../../../../src/sinks/export/csv.ts';
import { dropped, verdict } from './exported.ts';

test.each([
  ['=HYPERLINK("http://x","y")', `"'=HYPERLINK(""http://x"",""y"")"`],
  ['+1', "'+1"],
  ['-1+2', "'-1+2"],
  ['@SUM(A1)', "'@SUM(A1)"],
  ['\t=1', "'\\t=1"],
  ['\r=1', "'\\r=1"],
  ['＝1', "'＝1"],
])('%j is no formula', (text, cell) => {
  expect(cellText(text)).toBe(cell);
});

test.each([
  ['a, b', '"a, b"'],
  ['say "a"', '"say ""a"""'],
  ['two\nlines', 'two\\nlines'],
  ['plain = text', 'plain = text'],
  [null, ''],
])('%j', (value, cell) => {
  expect(cellText(value)).toBe(cell);
});

test('a row has a cell for each column, and lines end as RFC 4180 says', () => {
  const text: string[] = [];
  const sink = csvSink((line) => text.push(line));
  sink.event(
    dropped({ device: '=cmd|calc', verdicts: [verdict('rp-filter'), verdict('no-listener')] }),
  );
  sink.end();
  const lines = text.join('').split('\r\n');
  expect(lines).toHaveLength(3);
  expect(lines[0]).toBe(COLUMNS.join(','));
  const cells = Object.fromEntries(
    (lines[1] ?? '').split(',').map((cell, index) => [COLUMNS[index], cell]),
  );
  expect(cells).toEqual({
    time_utc: '2026-11-22 00:27:37.819',
    seq: '7',
    cause: 'rp-filter; no-listener',
    severity: 'error; error',
    basis: 'direct; direct',
    title: 'title of rp-filter; title of no-listener',
    summary: 'summary of rp-filter; summary of no-listener',
    kind: 'drop',
    happened: 'dropped (NO_SOCKET)',
    reason: 'NO_SOCKET',
    occurrences: '1',
    netns: '4026531840',
    saddr: '10.0.0.1',
    sport: '40000',
    daddr: '10.0.0.2',
    dport: '80',
    tcp_flags: 'ACK PSH',
    tcp_seq: '4294967295',
    tcp_ack: '7',
    window: '512',
    payload_bytes: '100',
    tsval: '11',
    tsecr: '12',
    ttl: '63',
    device: "'=cmd|calc",
    state: '',
    pid: '',
    comm: '',
    container: '',
  });
});
