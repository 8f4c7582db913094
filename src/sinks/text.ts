// SPDX-License-Identifier: Apache-2.0

import { styleText } from 'node:util';
import type { EvidenceValue, Severity } from '../causes/define.ts';
import type { Finding } from '../diagnose/finding.ts';
import { adviceParts, commandLines } from './advice.ts';
import { endTexts } from './ends.ts';
import { clock } from './format.ts';
import { printable } from './printable.ts';
import { weight } from './severity.ts';
import type { CaptureRow, CountersRow, JoinedRow, LossRow, Sink, Start, Summary } from './sink.ts';
import { COLUMNS, wrap } from './wrap.ts';

const MARK: Record<Severity, string> = { error: 'E', warning: 'W', info: 'i' };
const COLOUR = { error: 'red', warning: 'yellow', info: 'cyan' } as const;

/** What is said behind the verdict of what a host left, by its kind. */
const LIMITS_OF: Record<string, string> = {
  packets: 'packets show what was sent, and not why: what nothing is said of may have failed too',
  counters: 'counters tell how often, and not of which client, port or process',
  log: 'a log has what the kernel says unasked, and at most so many lines a second',
};

export interface TextOptions {
  color: boolean;
  /** Only the verdict. */
  quiet: boolean;
}

/** For people: each finding when it is first seen, then a verdict. Fits 80 columns. */
export function textSink(write: (text: string) => void, { color, quiet }: TextOptions): Sink {
  const seen = new Map<string, Finding>();
  let tier = '';
  const line = (text = '') => write(`${text}\n`);
  const style = (format: Parameters<typeof styleText>[0], text: string) =>
    color ? styleText(format, text, { validateStream: false }) : text;

  return {
    start: (start) => {
      tier = start.tier;
      if (!quiet) for (const text of startLines(start)) line(style('dim', text));
    },
    event: ({ seq, time_ns, kind, body }) =>
      line(style('dim', printable(`${clock(time_ns)}Z #${seq} ${kind} ${JSON.stringify(body)}`))),
    finding: (finding) => {
      const known = seen.has(finding.id);
      if (finding.count === 0) seen.delete(finding.id);
      else seen.set(finding.id, finding);
      if (!known && !quiet && finding.count > 0)
        for (const text of findingLines(finding)) line(text);
    },
    capture: (row) => {
      line();
      for (const text of wrap(captureLine(row), '', '  ')) line(style('dim', text));
    },
    counters: (row) => {
      for (const text of quiet ? [] : countersLines(row)) line(style('dim', text));
    },
    log: ({ lines, told }) => {
      line();
      line(style('dim', `${lines} lines, ${told} of them say why TCP failed`));
    },
    joined: (row) => {
      for (const text of joinedLines(row)) line(text);
    },
    loss: (row) => line(lossLine(row)),
    summary: (summary) => {
      line();
      for (const text of verdictLines(summary, [...seen.values()])) line(text);
    },
  };

  function findingLines(finding: Finding): string[] {
    const { severity, cause, summary, last_ns, evidence, process, advice } = finding;
    const head = `${clock(last_ns)}Z ${MARK[severity]} ${cause}`;
    const facts = Object.entries(evidence).filter(([, value]) => value !== null && !isEmpty(value));
    const who = process
      ? [
          `process ${process.comm} (${process.pid})${process.container ? ` in container ${process.container}` : ''}`,
        ]
      : [];
    return [
      style(['bold', COLOUR[severity]], head),
      ...wrap(summary, '  ', '  '),
      ...wrap(
        facts.map(([name, value]) => `${name.replaceAll('_', ' ')} ${factText(value)}`).join(' · '),
        '    ',
        '    ',
      ).map((text) => style('dim', text)),
      ...[...who, ...endTexts(finding)].flatMap((text) => wrap(text, '    ', '    ')),
      ...advice.flatMap(adviceLines),
    ];
  }

  function joinedLines({ findings, translated }: JoinedRow): string[] {
    const rows = findings.flatMap(({ file, cause, severity, count, summary }) =>
      wrap(
        `${count} × ${MARK[severity]} ${cause} in ${printable(file)}: ${summary}`,
        '  ',
        '    ',
      ).map((text, index) => (index === 0 ? style(COLOUR[severity], text) : text)),
    );
    const ends = translated.flatMap(({ file, here, there, at }) =>
      wrap(
        `${here} in ${printable(file)} is ${there} in ${at.map(printable).join(', ')}`,
        '    ',
        '      ',
      ),
    );
    return ['', 'The same connections, seen at several places:', ...rows, ...ends];
  }

  function verdictLines(summary: Summary, findings: Finding[]): string[] {
    const shown = findings
      .filter(({ count }) => count > 0)
      .sort(
        (a, b) =>
          weight(b.severity) - weight(a.severity) || b.count - a.count || a.first_ns - b.first_ns,
      );
    const rows = shown.flatMap((finding) => {
      const head = `${String(finding.count).padStart(7)} × ${MARK[finding.severity]} ${finding.cause}  `;
      return wrap(finding.summary, head, ' '.repeat(12)).map((text, index) =>
        index === 0 ? style(COLOUR[finding.severity], text) : text,
      );
    });
    const { duration_s, events, unexplained, benign, lost, not_observable } = summary;
    const limits = LIMITS_OF[tier];
    return [
      ...(rows.length > 0 ? rows : ['No failure seen.']),
      style(
        'dim',
        `${duration_s} s, ${events} events, ${unexplained} unexplained, ${benign} benign, ${lost} lost`,
      ),
      ...(limits === undefined ? [] : wrap(limits, '', '  ')),
      ...(not_observable.length > 0 && limits === undefined
        ? wrap(`cannot be seen here: ${not_observable.join(', ')} (see tcpwhy doctor)`, '', '  ')
        : []),
    ];
  }
}

/** Each command on lines of its own, to be copied whole. */
function adviceLines(advice: string): string[] {
  const lines = adviceParts(advice).flatMap((part) =>
    'command' in part
      ? commandLines(part.command, COLUMNS - 8).map((text) => `        ${text}`)
      : wrap(part.words, '      ', '      '),
  );
  return lines.map((text, index) => (index === 0 ? text.replace(/^ {6}/, '    → ') : text));
}

function startLines({ version, host, kernel, tier, filters }: Start): string[] {
  const what = filters.length > 0 ? filters.join(', ') : 'every connection';
  if (tier === 'packets')
    return wrap(`tcpwhy ${version} on packets of ${printable(host)}: ${what}`, '', '  ');
  if (LIMITS_OF[tier])
    return wrap(`tcpwhy ${version} on the ${tier} of ${printable(host)}`, '', '  ');
  return wrap(
    `tcpwhy ${version} on ${host}, Linux ${kernel}, tier ${tier}: watching ${what}`,
    '',
    '  ',
  );
}

const TOLD_BY: Record<string, string> = {
  direction: 'as the directions of its packets tell',
  ttl: 'as their TTL tells',
  timing: 'as the timing of its handshakes tells',
};

function captureLine({ packets, segments, taken_at, by }: CaptureRow): string {
  const where =
    taken_at.length === 0
      ? 'at which end is not known'
      : `taken at ${taken_at.join(', ')}, ${TOLD_BY[by ?? ''] ?? ''}`;
  return `${packets} packets, ${segments} segments of TCP, ${where}`;
}

function countersLines({ moved, uncompared }: CountersRow): string[] {
  const symptoms = moved.flatMap(({ counter, before, after, says }) =>
    says === null ? [] : wrap(`${counter} +${after - before}: ${says}`, '  ', '      '),
  );
  return [
    ...(symptoms.length > 0 ? ['', 'also moved, and names no cause:', ...symptoms] : []),
    ...(moved.length === 0 ? ['', 'no counter moved'] : []),
    ...(uncompared > 0 ? ['', `${uncompared} counters are in one of the two only`] : []),
  ];
}

function lossLine({ name, count, meaning }: LossRow): string {
  return wrap(`lost: ${count} × ${name}: ${meaning}`, '', '  ').join('\n');
}

function isEmpty(value: EvidenceValue): boolean {
  return Array.isArray(value) && value.length === 0;
}

function factText(value: EvidenceValue): string {
  if (value === null) return '-';
  if (Array.isArray(value)) return value.map(factText).join(', ');
  if (typeof value === 'object')
    return Object.entries(value)
      .map(([name, inner]) => `${name.replaceAll('_', ' ')} ${factText(inner)}`)
      .join(' ');
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return String(value);
}
