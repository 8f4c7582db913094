// SPDX-License-Identifier: Apache-2.0

import type { FindingRow, Report } from '../../../../src/report/model.ts';
import { readFixture, streamOf } from '../../causes/fixture.ts';
import { reportOf } from '../../report/reports.ts';

/** What a process, a host or a device may be called. */
export const NAMES = [
  '<script>pwned=1</script>',
  '"><img src=x onerror=pwned=1>',
  "'onload='pwned=1",
  '</style></svg><script>pwned=1</script>',
  '](javascript:pwned=1) `code` | cell @everyone ![x](http://example.com/x.png)',
  '\u001b[2J\u202e\nnext line\n```\n# heading',
];

/** A report in which everything that came from a host is called by one of these names. */
export function hostile(): Report {
  const { header, events } = readFixture('accept-queue-full', 'fires');
  const made = reportOf([{ name: 'a.tcpwhy', header, stream: streamOf(events) }]);
  const all = NAMES.join(' ');
  return renamed(made, (text) => `${text} ${all}`);
}

/** Every text of it but for ids that the program itself chose. */
function renamed(report: Report, name: (text: string) => string): Report {
  const own = new Set([
    'id',
    'cause',
    'severity',
    'basis',
    'subject',
    'kind',
    'mark',
    'at',
    'flags',
  ]);
  const walk = (field: string, value: unknown): unknown => {
    if (typeof value === 'string') return own.has(field) ? value : name(value);
    if (Array.isArray(value)) return value.map((item) => walk(field, item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, walk(key, inner)]));
  };
  return walk('', report) as Report;
}

/** Thousands of findings of dozens of causes, over days. */
export function many(rows: number): Report {
  const { header, events } = readFixture('accept-queue-full', 'fires');
  const base = reportOf([{ name: 'a.tcpwhy', header, stream: streamOf(events) }]);
  const [first] = base.findings;
  if (!first) throw new Error('no finding');
  const ids = Array.from({ length: 45 }, (_, i) => `cause-number-${i}`);
  const row = (number: number): FindingRow => {
    const cause = ids[number % ids.length] ?? '';
    return { number, host: first.host, finding: { ...first.finding, cause, count: number * 1000 } };
  };
  const counts = (i: number) => Array.from({ length: 96 }, (_, at) => (at * 7 + i) % 11);
  const findings = Array.from({ length: 40 }, (_, i) => ({ ...first, ...row(i + 1) }));
  return {
    ...base,
    end_ns: base.start_ns + 3 * 86_400e9,
    findings,
    rest: Array.from({ length: rows }, (_, i) => row(i + 41)),
    omitted: 8_960,
    causes: ids.map((id, i) => {
      const severity = i < 15 ? 'error' : i < 30 ? 'warning' : 'info';
      return { id, title: `what ${id} is`, severity, count: 1e6 - i, findings: 222, hosts: ['a'] };
    }),
    timeline: {
      start_ns: base.start_ns,
      width_ns: 2700e9,
      lanes: ids.map((cause, i) => ({ cause, counts: counts(i) })),
    },
  };
}
