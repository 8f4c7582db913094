// SPDX-License-Identifier: Apache-2.0

import type { Cause, Evidence, Match } from '../causes/define.ts';
import { CAUSES } from '../causes/registry.gen.ts';
import { UNEXPLAINED } from '../diagnose/unexplained.ts';
import type { Event } from '../wire/event.ts';
import type { Flow } from '../wire/types.gen.ts';
import { COUNTED, UNNAMED } from './counter-causes.ts';
import { said } from './log.ts';
import { LOGGED } from './log-causes.ts';

/** Ids of all that a text can tell of. */
export const TOLD_BY_COUNTERS: ReadonlySet<string> = new Set(COUNTED.map(({ cause }) => cause));
export const TOLD_BY_LOG: ReadonlySet<string> = new Set(LOGGED.flatMap(({ cause }) => cause ?? []));

/** What no counter and no line names. */
const UNNAMED_BY_TEXTS: Cause = {
  ...UNEXPLAINED,
  severity: 'warning',
  on: ['counter_moved', 'kernel_said'],
  match(event) {
    if (event.kind === 'kernel_said') return unnamedLine(event);
    if (event.kind !== 'counter_moved') return null;
    const { counter, before, after, parts } = event.body;
    const row = unnamed(counter);
    if (!row) return null;
    const evidence = {
      ...{ counter, before, after, moved: after - before, unnamed: event.occurrences },
      named: Object.fromEntries(parts.map((part) => [part.counter, part.moved])),
      may_be: [...row.may_be],
    };
    return hostMatch(evidence, counter, 0);
  },
  summary({ counter, moved, unnamed: rest, named, log, does_not_say }) {
    if (log !== undefined) return `the log says: ${log}; it does not say ${does_not_say}`;
    const row = unnamed(String(counter));
    const parts = Object.entries(named as { [counter: string]: number });
    if (parts.length === 0) return `${rest} ${row?.what ?? ''} (${counter}): no counter says why`;
    const names = parts.map(([name, count]) => `${count} are ${name}`).join(', ');
    return `of ${moved} ${row?.what ?? ''} (${counter}) ${names}: the other ${rest} are unnamed`;
  },
  advice({ counter, log }) {
    if (log !== undefined) return [said(String(log))?.rule.decides ?? ''];
    return [...(unnamed(String(counter))?.decides ?? [])];
  },
};

/** The catalogue’s causes as counters and a log tell of them: the same ids and titles, other evidence. */
export const CAUSES_OF_TEXTS: readonly Cause[] = [
  ...CAUSES.filter(({ id }) => TOLD_BY_COUNTERS.has(id)).map(byCounter),
  ...CAUSES.filter(({ id }) => TOLD_BY_LOG.has(id)).map(byLog),
  UNNAMED_BY_TEXTS,
];

/** The catalogue, by all that tells of it. */
export const EVERY_CAUSE: readonly Cause[] = [...CAUSES, ...CAUSES_OF_TEXTS];

const counted = (counter: string) => COUNTED.find((row) => row.counter === counter);
const unnamed = (counter: string) => UNNAMED.find((row) => row.counter === counter);

function unnamedLine({
  body: { line, port, suppressed },
  occurrences,
}: Event & { kind: 'kernel_said' }) {
  const { rule } = said(line) ?? {};
  if (!rule || rule.cause !== null) return null;
  const evidence = {
    ...{ log: line, lines: occurrences - suppressed, may_be: [...(rule.may_be ?? [])] },
    ...(suppressed > 0 && { left_out_of_the_log: suppressed }),
    does_not_say: rule.not,
  };
  return hostMatch(evidence, `log ${LOGGED.indexOf(rule)}`, port);
}

const NOBODY = { saddr: '0.0.0.0', daddr: '0.0.0.0', sport: 0, dport: 0, service: 1 };

function of({ id, title, severity, explains, seenAs }: Cause) {
  return { id, title, severity, explains, seenAs, needs: [] };
}

function byCounter(cause: Cause): Cause {
  return {
    ...of(cause),
    on: ['counter_moved'],
    match(event) {
      if (event.kind !== 'counter_moved') return null;
      const { counter, before, after } = event.body;
      const row = counted(counter);
      if (row?.cause !== cause.id) return null;
      const evidence = { counter, before, after, moved: after - before, does_not_say: row.not };
      return hostMatch(evidence, counter, 0, row.severity);
    },
    summary({ counter, before, after, moved }) {
      const row = counted(String(counter));
      return `${times(Number(moved))} ${row?.says ?? ''}: ${counter} went from ${before} to ${after}`;
    },
    advice({ counter }) {
      return [counted(String(counter))?.decides ?? ''];
    },
  };
}

function byLog(cause: Cause): Cause {
  return {
    ...of(cause),
    on: ['kernel_said'],
    match(event) {
      if (event.kind !== 'kernel_said') return null;
      const { line, port, suppressed } = event.body;
      const { rule } = said(line) ?? {};
      if (rule?.cause !== cause.id) return null;
      const lines = event.occurrences - suppressed;
      const evidence = {
        log: line,
        lines,
        ...(suppressed > 0 && { left_out_of_the_log: suppressed }),
        ...(port > 0 && { port }),
        does_not_say: rule.not,
      };
      return hostMatch(evidence, `log ${LOGGED.indexOf(rule)}`, port);
    },
    summary({ log, lines, left_out_of_the_log, port }) {
      const { rule } = said(String(log)) ?? {};
      const at = port === undefined ? '' : ` (port ${port})`;
      const left_out =
        left_out_of_the_log === undefined
          ? ''
          : `, and says that it left out ${left_out_of_the_log} more`;
      return `the log says ${times(Number(lines))} that ${rule?.says ?? ''}${at}${left_out}`;
    },
    advice({ log }) {
      return [said(String(log))?.rule.decides ?? ''];
    },
  };
}

/** Of the whole host, or of a port of it. */
function hostMatch(
  evidence: Evidence,
  group: string,
  port: number,
  severity?: Cause['severity'],
): Match<Evidence> {
  const flow: Flow = { ...NOBODY, sport: port };
  return {
    ...{ evidence, basis: 'direct', subject: port > 0 ? 'listener' : 'host' },
    ...{ where: port > 0 ? `port ${port}` : 'the host', flow, group: `${group} ${port}` },
    ...(severity && { severity }),
    owner: null,
    apart: true,
  };
}

const times = (count: number) => (count === 1 ? 'once' : `${count} times`);
