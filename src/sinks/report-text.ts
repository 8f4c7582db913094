// SPDX-License-Identifier: Apache-2.0

import type { Finding } from '../diagnose/finding.ts';
import type {
  CauseRow,
  ClockNote,
  CounterRow,
  FindingReport,
  FindingRow,
  HostReport,
  NoteRung,
  Report,
  SegmentRung,
  ToldHost,
  ToldReport,
} from '../report/model.ts';
import { clock, clockMicros, duration, plural } from './format.ts';
import { printable } from './printable.ts';

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

export const thousands = (n: number) => n.toLocaleString('en-US');

/** 22 November 2026 */
function day(time_ns: number): string {
  const date = new Date(time_ns / 1e6);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}`;
}

/** Only what tells the moments of this report apart. */
export function moment(time_ns: number, { start_ns, end_ns }: Report): string {
  if (day(start_ns) !== day(end_ns)) return `${day(time_ns)} ${clock(time_ns)}`;
  return end_ns - start_ns < 60e9 ? clockMicros(time_ns).slice(0, 12) : clock(time_ns);
}

export function period({ start_ns, end_ns }: Pick<Report, 'start_ns' | 'end_ns'>): string {
  const length = duration(Math.round((end_ns - start_ns) / 1e8) * 1e8);
  const from = `${day(start_ns)}, ${clock(start_ns)}`;
  const to = day(start_ns) === day(end_ns) ? clock(end_ns) : `${day(end_ns)}, ${clock(end_ns)}`;
  return `${from} to ${to} UTC (${length})`;
}

export function title(report: Report): string {
  return `TCP failures on ${where(report)}`;
}

/** Of more hosts than these only some are named. */
const MOST_NAMED = 5;

function where({ hosts, told }: Report): string {
  const names = (told?.hosts ?? hosts).map(({ name }) => name);
  if (names.length === 0) return 'no host';
  const more = names.length - MOST_NAMED;
  return more > 1
    ? `${names.slice(0, MOST_NAMED).join(', ')} and ${plural(more, 'other host')}`
    : listed(names);
}

/** On which hosts a cause was seen. */
export function onHosts({ hosts }: CauseRow): string {
  return hosts.length > 2 * MOST_NAMED ? plural(hosts.length, 'host') : hosts.join(', ');
}

/** More than one host has its part in it. */
export function isOfSeveral({ hosts, told }: Report): boolean {
  return (told?.hosts ?? hosts).length > 1;
}

const MOST_HOSTS = 100;

/** Those that a page has room for. */
export function mostFailures(hosts: readonly ToldHost[]): ToldHost[] {
  return [...hosts].sort((a, b) => b.count - a.count).slice(0, MOST_HOSTS);
}

/** How to see what a report leaves out. */
export function allOf({ told }: Report): string {
  return told ? 'what is asked, with --since or a TARGET, may be less' : 'tcpwhy replay shows all';
}

/** `a`, `a and b`, `a, b and c`. */
function listed(items: readonly string[]): string {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

/** What happened, in a few sentences; then how far that can be relied on. Not escaped. */
export function story(report: Report): { happened: string[]; known: string[] } {
  return { happened: happened(report), known: [...clocks(report), ...known(report)] };
}

function happened(report: Report): string[] {
  const { causes } = report;
  const named = causes.filter(({ id }) => id !== 'unexplained' && id !== 'benign');
  if (named.length === 0)
    return [`tcpwhy saw no TCP failure with a known cause on ${where(report)}.`];
  const total = named.reduce((sum, { count }) => sum + count, 0);
  const kinds = named.length === 1 ? 'all for one reason' : `for ${named.length} reasons`;
  const one = total === 1 ? 'one TCP failure' : `${thousands(total)} TCP failures, ${kinds}`;
  const worst = named.slice(0, 3).map(({ id, title, count, findings }) => {
    const first = report.findings.find(({ finding }) => finding.cause === id);
    const like = findings > 1 ? ', for example' : '';
    return `${capital(title)}, ${times(count)}${like}: ${first?.finding.summary ?? id}.`;
  });
  const more = named.length - worst.length;
  return [
    `On ${where(report)}, tcpwhy saw ${one}.`,
    ...worst,
    ...(more > 0 ? [`${plural(more, 'less severe or less frequent reason')} below.`] : []),
  ];
}

function known(report: Report): string[] {
  return report.told ? knownOfTold(report.told, report) : knownOfRecordings(report);
}

function knownOfTold({ from, since_ns, incomplete }: ToldReport, report: Report): string[] {
  return [
    `Made of the findings that were told since ${moment(since_ns, report)} UTC, as ${from} has them; each counts from where its recording began, an hour before at the most unless its agent was told otherwise.`,
    ...(incomplete
      ? [
          'There are more: only the weightiest were read, and what is said of causes and services is of these.',
        ]
      : []),
    WHAT_AGENTS_MISS,
  ];
}

/** What log records do not have. */
export const WHAT_AGENTS_MISS =
  'What an agent lost, or could not see, its metrics have: tcpwhy.events.lost and tcpwhy.cause.observable.';

function knownOfRecordings({ hosts, causes }: Report): string[] {
  const unexplained = causes.find(({ id }) => id === 'unexplained')?.count ?? 0;
  const benign = hosts.reduce((sum, host) => sum + host.benign, 0);
  const lost = hosts.filter(({ losses }) => losses.length > 0).map(({ name }) => name);
  const cut = hosts
    .filter((host) => host.ended === null && left(host) === null)
    .map(({ name }) => name);
  const blind = hosts.filter(({ not_observable }) => not_observable.length > 0);
  const filtered = hosts.filter(({ filters }) => filters.length > 0);
  const shownBenign = causes.some(({ id }) => id === 'benign');
  return [
    unexplained > 0
      ? `${capital(plural(unexplained, 'drop or reset', 'drops or resets'))} could not be explained.`
      : 'No drop or reset was left unexplained.',
    lost.length > 0
      ? `Something was lost on ${listed(lost)}: see below what that means.`
      : 'Nothing was lost on the way.',
    ...cut.map((name) => `The recording of ${name} was cut off: how it went on is not known.`),
    ...blind.map(
      ({ name, not_observable }) =>
        `On ${name}, ${plural(not_observable.length, 'cause')} could not have been seen.`,
    ),
    ...hosts.flatMap((host) =>
      left(host) === null
        ? []
        : [`Of ${host.name} is known what it proves: what nothing is said of may have failed too.`],
    ),
    ...filtered.map(({ name, filters }) => `On ${name}, only ${listed(filters)} was watched.`),
    ...(benign > 0 && !shownBenign
      ? [
          `${capital(plural(benign, 'ordinary event'))} (duplicates, teardown) ${benign === 1 ? 'is' : 'are'} left out.`,
        ]
      : []),
  ];
}

function clocks({ hosts }: Report): string[] {
  return hosts
    .filter(({ clock: { basis }, tier }) => basis !== 'own' && !TEXTS.has(tier))
    .map(clockSentence);
}

/** What a host left that was not watched by tcpwhy, as a sentence begins; null where it was. */
export function left({ tier }: Pick<HostReport, 'tier'>): string | null {
  return LEFT[tier] ?? null;
}

/** Where no host lacks what a cause needs. */
export function allSeen({ hosts }: Report): string {
  return hosts.every((host) => left(host) === null)
    ? 'Every cause that tcpwhy knows could have been seen.'
    : 'Where tcpwhy watched, every cause that it knows could have been seen; captures, counters and logs tell of some.';
}

/** They have the time of their file. */
const TEXTS: ReadonlySet<string> = new Set(['counters', 'log']);

const LEFT: Readonly<Record<string, string>> = {
  packets: 'Packets of a capture',
  counters: 'Counters, before and after',
  log: 'The kernel’s log',
};

export function clockSentence({ name, clock: note }: HostReport): string {
  const { basis, correction_ns, uncertainty_ns, segments } = note;
  if (basis === 'none')
    return `No segment was seen at both ends of ${name} and another host: its clock is taken as it is.`;
  const off = clockOff(note);
  if (uncertainty_ns !== null && Math.abs(correction_ns) <= uncertainty_ns) {
    const within = duration(Math.abs(correction_ns) + uncertainty_ns);
    return `The clock of ${name} agrees with that of ${note.with} (within ${within}, from ${plural(segments, 'segment')} seen at both ends).`;
  }
  const from = `from ${plural(segments, 'segment')} seen at both ends`;
  if (basis === 'one-way')
    return `The clock of ${name} was ${off} and is corrected (${from}, all in one direction: the rest is not known).`;
  return `The clock of ${name} was ${off} (± ${duration(uncertainty_ns ?? 0)}, ${from}); its times here are corrected.`;
}

function clockOff({ correction_ns, with: other }: ClockNote): string {
  const length = duration(Math.abs(correction_ns));
  return `${length} ${correction_ns < 0 ? 'ahead of' : 'behind'} that of ${other}`;
}

export function times(count: number): string {
  return count === 1 ? 'once' : `${thousands(count)} times`;
}

/** `at 18:56:40.353` or `from … to …`. */
export function span({ finding: { first_ns, last_ns } }: FindingRow, report: Report): string {
  const [first, last] = [moment(first_ns, report), moment(last_ns, report)];
  return first === last ? `at ${last}` : `from ${first} to ${last}`;
}

export function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

export function processText({ finding: { process } }: FindingReport): string | null {
  if (!process) return null;
  const container = process.container === null ? '' : `, container ${process.container}`;
  return printable(`${process.comm} (pid ${process.pid}${container})`);
}

/** `[SA] seq 914414059 ack 853654706 len 0` */
export function segmentText({ flags, what, seq, ack, len }: SegmentRung): string {
  return [
    flags === null ? (what ?? 'segment') : `[${flags}]`,
    seq === null ? '' : `seq ${seq}`,
    ack === null ? '' : `ack ${ack}`,
    len === null ? '' : `len ${len}`,
  ]
    .filter((part) => part !== '')
    .join(' ');
}

export function rungTime({ time_ns }: SegmentRung | NoteRung): string {
  return time_ns === null ? 'before' : clockMicros(time_ns);
}

export function counterChange({ start, end }: CounterRow): string {
  if (end === null) return 'not known';
  return end === start ? '0' : end > start ? `+${thousands(end - start)}` : thousands(end - start);
}

export const SEVERITY_WORD = { error: 'error', warning: 'warning', info: 'note' } as const;

export function basisText({ basis, flow }: Finding): string {
  if (basis === 'inferred') return 'it follows from what was seen around it';
  return isWatched(flow) ? 'the kernel was seen deciding it' : 'what was given proves it';
}

/** ` in network namespace 4026531840`, where a kernel was watched. */
export function netnsText({ flow }: Finding): string {
  return isWatched(flow) ? ` in network namespace ${flow.netns}` : '';
}

/** Of captures, counters and logs nobody knows the namespace. */
const isWatched = ({ netns }: Finding['flow']) => netns !== 0;
