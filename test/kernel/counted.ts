// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import type { Finding } from '../../src/diagnose/finding.ts';
import { lacks, sums, TIMES } from '../../src/lab/conformance.ts';
import { Lab } from '../../src/lab/lab.ts';
import { missingCommands, type Netns } from '../../src/lab/netns.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { until } from '../../src/lab/until.ts';
import { TOLD_BY_COUNTERS } from '../../src/texts/causes.ts';
import { UNNAMED } from '../../src/texts/counter-causes.ts';
import { parseCounters } from '../../src/texts/counters.ts';
import { counters, findingsOf } from '../unit/texts/told.ts';

const FORMS: Record<string, [string, string[]]> = {
  'nstat -asz': ['nstat', ['-asz']],
  'nstat -asz --json': ['nstat', ['-aszj']],
  'netstat -s': ['netstat', ['-s']],
  '/proc/net': ['cat', ['/proc/net/netstat', '/proc/net/snmp', '/proc/net/snmp6']],
};
const lacking = missingCommands(Object.values(FORMS).map(([command]) => command));

/** The kernel counts nothing of these. */
const UNCOUNTED: ReadonlySet<string> = new Set([
  ...['ao-mismatch/twice', 'synack-unacceptable', 'synack-unacceptable/ack'],
  ...['data-after-close/forgotten', 'linger-zero-close/mptcp', 'unread-data-on-close/mptcp'],
  ...['peer-window-shut', 'peer-window-shut/never-open', 'tcp-memory/arrival'],
]);

/** Data that finds the socket gone is answered without a counter; how many find it there is a matter of moments. */
const AT_MOST: ReadonlySet<string> = new Set([
  'data-after-close',
  'data-after-close/dialled',
  'data-after-close/high-port',
  'data-after-close/killed',
]);

/** Causes that have a counter, or one with others in common. */
const COUNTED = new Set([...TOLD_BY_COUNTERS, ...UNNAMED.flatMap(({ may_be }) => may_be)]);
/** They take minutes, or end in a namespace of their own. */
const LONG = /^connect-timeout/;

const CASES = SCENARIOS.filter(({ cause, id }) => COUNTED.has(cause) && !LONG.test(id)).flatMap(
  (scenario) => scenario.families.map((family) => ({ scenario, family, id: scenario.id })),
);

/** Counters tell of the failures of one network namespace, or of those under which a limit of the whole host is another. */
export function areCounted(of_host: boolean): void {
  const cases = CASES.filter(({ scenario }) => (scenario.of_host ?? false) === of_host);
  it.skipIf(lacking.length > 0).for(cases)(
    'counters of $id, IPv$family, tell of it as often as it happened, and of nothing else',
    ({ scenario, family, id }, { skip }) => {
      const why = lacks(scenario, family);
      skip(why !== null, why ?? '');
      using lab = Lab.open();
      const options = { times: TIMES, family };
      scenario.prepare?.(lab, options);
      const ends = [lab.client, lab.server];
      const before = ends.map((end) => read(end));
      const made = scenario.run(lab, options);
      const there = ends.findIndex(({ inode }) => inode === made.netns);
      // What is told to a process is counted a moment later, or by a timer.
      if (there >= 0 && !UNCOUNTED.has(id))
        until('the counters to tell of it', () => {
          const [then, now] = [before[there], { '/proc/net': polled(ends[there] as Netns) }];
          if (AT_MOST.has(id)) return resetsIn(now) - resetsIn(then) >= TIMES;
          const findings = findingsOf(counters(then?.['/proc/net'] ?? '', now['/proc/net'] ?? ''));
          return tells(findings, scenario.cause);
        });
      const after = ends.map((end) => read(end));

      for (const [at, { inode }] of ends.entries()) {
        const told = Object.keys(FORMS).map((form) =>
          findingsOf(counters(before[at]?.[form] ?? '', after[at]?.[form] ?? '')),
        );
        const sum = sums(told[0] ?? []);
        for (const [form, findings] of told.entries())
          expect([Object.keys(FORMS)[form], sums(findings)]).toEqual([
            Object.keys(FORMS)[form],
            sum,
          ]);
        const may_be = [scenario.cause, ...(scenario.beside ?? []), 'unexplained'];
        expect(Object.keys(sum).filter((cause) => !may_be.includes(cause))).toEqual([]);
        if (inode !== made.netns) continue;
        if (UNCOUNTED.has(id)) expect(sum).toEqual({});
        else if (AT_MOST.has(id)) {
          // Each was answered with a reset, whatever else counts it.
          expect(resetsIn(after[at]) - resetsIn(before[at])).toBe(TIMES);
          for (const { count, evidence } of told[0] ?? []) {
            expect(count).toBeLessThanOrEqual(TIMES);
            expect(evidence.may_be).toContain(scenario.cause);
          }
        } else expect(tells(told[0] ?? [], scenario.cause), JSON.stringify(told[0])).toBe(true);
      }
    },
  );
}

/** As often as it happened: the cause, or one finding of which it may be. */
function tells(findings: readonly Finding[], cause: string): boolean {
  if (sums(findings)[cause] === TIMES) return true;
  const [one, ...more] = findings;
  const may_be = one?.evidence.may_be;
  return (
    more.length === 0 && one?.count === TIMES && Array.isArray(may_be) && may_be.includes(cause)
  );
}

const resetsIn = (read?: Record<string, string>) =>
  parseCounters(read?.['/proc/net'] ?? '').values.get('Tcp.OutRsts') ?? Number.NaN;

/** As the last of the forms shows it. */
const polled = (netns: Netns) => netns.files('netstat', 'snmp', 'snmp6');

function read(netns: Netns): Record<string, string> {
  return Object.fromEntries(
    Object.entries(FORMS).map(([form, [command, args]]) => [form, netns.exec(command, args)]),
  );
}
