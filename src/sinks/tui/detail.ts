// SPDX-License-Identifier: Apache-2.0

import type { Finding, ProcessText } from '../../diagnose/finding.ts';
import { adviceParts, commandLines } from '../advice.ts';
import { endTexts } from '../ends.ts';
import { evidenceRows } from '../evidence-rows.ts';
import { age, clock, clockMicros, dateAndClock, plural, rate } from '../format.ts';
import { printable } from '../printable.ts';
import type { Glyphs } from './glyphs.ts';
import { type Line, span } from './lines.ts';
import type { FindingView } from './model.ts';
import { severityStyle, severityWord } from './severity.ts';
import { spark } from './spark.ts';
import { padEnd, padStart, widthOf, wrap } from './text.ts';
import { containerText, flowText } from './where.ts';

const BASIS: Record<Finding['basis'], string> = {
  direct: 'direct: the kernel was seen deciding it',
  inferred: 'inferred: it follows from what was seen around it',
};

/** A name and its value, in two columns; a long value goes on below itself. */
function row(name: string, value: string, nameWidth: number, width: number, indent = 2): Line[] {
  const start = indent + nameWidth + 2;
  const room = Math.max(8, width - start);
  return wrap(value, room).map((text, i) =>
    i === 0
      ? [span(' '.repeat(indent)), span(padEnd(name, nameWidth), 'dim'), span('  '), span(text)]
      : [span(' '.repeat(start)), span(text)],
  );
}

function head(text: string, note = ''): Line[] {
  return [[], [span(text, 'strong'), span(note === '' ? '' : `  ${note}`, 'dim')]];
}

function paragraph(text: string, width: number, indent: number): Line[] {
  return wrap(text, width - indent).map((part) => [span(' '.repeat(indent)), span(part)]);
}

function subject({ finding }: FindingView, glyphs: Glyphs): [string, string] {
  const { flow } = finding;
  const text = finding.subject === 'flow' ? flowText(flow, glyphs) : printable(finding.where);
  return [finding.subject, `${text}  (netns ${flow.netns})`];
}

function owner({ comm, pid, container }: ProcessText): string {
  return `${printable(comm)}  (pid ${pid}${container === null ? '' : `, container ${containerText(container)}`})`;
}

function identity(view: FindingView, now_ns: number, width: number, glyphs: Glyphs): Line[] {
  const { finding } = view;
  const sameDay = dateAndClock(finding.first_ns).slice(0, 10) === dateAndClock(now_ns).slice(0, 10);
  const first = sameDay ? clock(finding.first_ns) : dateAndClock(finding.first_ns);
  const seen = `${plural(finding.count, 'time')}, ${rate(view.rate_per_s)}; first ${first}, last ${clock(finding.last_ns)} UTC, ${age(finding.last_ns, now_ns)} ago`;
  const pairs: [string, string][] = [subject(view, glyphs)];
  if (view.seen_in !== undefined) pairs.push(['seen in', view.seen_in]);
  if (finding.process !== null) pairs.push(['process', owner(finding.process)]);
  endTexts(finding).forEach((text, i) => {
    pairs.push([i === 0 ? 'ends' : '', text]);
  });
  pairs.push(
    ['seen', seen],
    ['last 30 s', spark(view.history, 30, glyphs)],
    ['basis', BASIS[finding.basis]],
  );
  if (view.benign)
    pairs.push(['benign', 'ordinary: shown because benign findings are switched on']);
  return pairs.flatMap(([name, value]) => row(name, printable(value), 9, width));
}

function evidence(view: FindingView, width: number): Line[] {
  const rows = evidenceRows(view.finding.evidence);
  if (rows.length === 0) return [];
  const longest = Math.max(...rows.map((fact) => widthOf(fact.name) + 2 * fact.depth));
  const column = Math.min(longest, Math.floor(width * 0.45));
  const lines = rows.flatMap((fact) => {
    const indent = 2 + 2 * fact.depth;
    const room = Math.max(1, column - 2 * fact.depth);
    if (widthOf(fact.name) <= room) return row(fact.name, fact.value, room, width, indent);
    return [
      [span(' '.repeat(indent)), span(fact.name, 'dim')],
      ...row('', fact.value, room, width, indent),
    ];
  });
  return [...head('EVIDENCE'), ...lines];
}

function advice(view: FindingView, width: number): Line[] {
  const { advice: pieces } = view.finding;
  if (pieces.length === 0) return [];
  const lines = pieces.flatMap((piece, i) => {
    const mark = pieces.length > 1 ? `${i + 1}. ` : '';
    const indent = ' '.repeat(mark === '' ? 4 : 2 + mark.length);
    return adviceParts(piece).flatMap((part, j): Line[] => {
      if ('command' in part)
        return commandLines(part.command, width - indent.length).map((text) => [
          span(indent),
          span(text, 'info'),
        ]);
      const text = paragraph(part.words, width - mark.length, 2);
      return text.map((line, k) => [
        span(j === 0 && k === 0 ? `  ${mark}` : ' '.repeat(2 + mark.length)),
        ...line.slice(1),
      ]);
    });
  });
  return [...head('WHAT TO DO'), ...lines];
}

function flows(view: FindingView, now_ns: number, glyphs: Glyphs): Line[] {
  if (view.flows.length === 0) return [];
  const lines = view.flows.map((flow): Line => {
    const times = padStart(`${flow.count}${glyphs.times}`, 7);
    return [
      span(`  ${padStart(age(flow.last_ns, now_ns), 4)}`, 'dim'),
      span(`${times}  `),
      span(flow.text),
    ];
  });
  return [...head('FLOWS', 'newest first: last seen, how often'), ...lines];
}

function events(view: FindingView, width: number): Line[] {
  if (view.events.length === 0) return [];
  const lines = view.events.flatMap((event): Line[] => {
    const lead = `  ${clockMicros(event.time_ns)}  `;
    return wrap(printable(event.text), Math.max(8, width - lead.length)).map((text, i) => [
      span(i === 0 ? lead : ' '.repeat(lead.length), 'dim'),
      span(text),
    ]);
  });
  return [...head('RECENT EVENTS', 'oldest first, UTC'), ...lines];
}

/** All of a finding, what helps first at the top: what, to whom, what to do, how one knows, what it rests on. */
export function detailLines(
  view: FindingView,
  now_ns: number,
  width: number,
  glyphs: Glyphs,
): Line[] {
  const { finding } = view;
  const style = severityStyle(view);
  return [
    [
      span(severityWord(view), style),
      span('  '),
      span(finding.cause, style),
      span('  '),
      span(finding.title, 'strong'),
    ],
    ...paragraph(printable(finding.summary), width, 0),
    [],
    ...identity(view, now_ns, width, glyphs),
    ...advice(view, width),
    ...evidence(view, width),
    ...flows(view, now_ns, glyphs),
    ...events(view, width),
  ];
}
