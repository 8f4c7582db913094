// SPDX-License-Identifier: Apache-2.0

import type { FindingReport, HostReport, Report, ToldReport } from '../../report/model.ts';
import { adviceParts } from '../advice.ts';
import { endTexts } from '../ends.ts';
import { evidenceRows } from '../evidence-rows.ts';
import { plural } from '../format.ts';
import {
  allOf,
  allSeen,
  basisText,
  capital,
  counterChange,
  left,
  moment,
  mostFailures,
  netnsText,
  period,
  processText,
  SEVERITY_WORD,
  span,
  story,
  thousands,
  times,
  title,
  WHAT_AGENTS_MISS,
} from '../report-text.ts';
import { code, fenced, md, table } from './escape.ts';
import { ladderLines } from './ladder.ts';

const BARS = ' ▁▂▃▄▅▆▇█';
const SPARK_COLUMNS = 48;
/** Rows of the table of what is not shown in full: a ticket has its limit. */
const MAX_ROWS = 100;
const MAX_FLOWS = 5;

/** A report for an incident ticket, in GitHub's Markdown. */
export function reportMarkdown(report: Report): string {
  const { happened, known } = story(report);
  const lines = [
    `# ${md(title(report))}`,
    '',
    `${period(report)}. Written by tcpwhy ${md(report.version)}${report.anonymized ? '; addresses and names are not the real ones' : ''}.`,
    '',
    '## What happened',
    '',
    ...happened.flatMap((sentence, at) => (at === 0 ? [md(sentence), ''] : [`- ${md(sentence)}`])),
    '',
    known.map(md).join(' '),
    ...timeline(report),
    ...findings(report),
    ...ends(report),
    ...lost(report),
    ...(report.told
      ? toldHosts(report.told)
      : report.hosts.flatMap((host) => hostLines(host, report))),
  ];
  return `${lines
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trimEnd()}\n`;
}

function timeline(report: Report): string[] {
  if (report.causes.length === 0) return [];
  const { lanes, start_ns, width_ns } = report.timeline;
  const end_ns = start_ns + width_ns * (lanes[0]?.counts.length ?? 0);
  const rows = report.causes.map((cause) => {
    const counts = lanes.find((lane) => lane.cause === cause.id)?.counts ?? [];
    return [
      code(cause.id),
      SEVERITY_WORD[cause.severity],
      thousands(cause.count),
      code(spark(counts)),
    ];
  });
  const span = `${moment(start_ns, report)} to ${moment(end_ns, report)}`;
  return ['', '## Timeline', '', ...table(['cause', 'severity', 'times', span], rows, [2])];
}

/** Neighbours together, so that it fits; the height is that of the cause's highest. */
function spark(counts: readonly number[]): string {
  const each = Math.ceil(counts.length / SPARK_COLUMNS);
  const sums = Array.from({ length: Math.ceil(counts.length / each) }, (_, at) =>
    counts.slice(at * each, (at + 1) * each).reduce((sum, count) => sum + Math.max(0, count), 0),
  );
  const highest = Math.max(...sums, 1);
  return sums.map((sum) => BARS[Math.ceil((sum / highest) * (BARS.length - 1))]).join('');
}

function findings(report: Report): string[] {
  if (report.findings.length === 0) return [];
  const more = report.rest.length + report.omitted;
  return [
    '',
    '## Findings',
    '',
    ...(more > 0
      ? [
          `The ${report.findings.length} weightiest in full, then ${plural(more, 'more', 'more')} in a table.`,
        ]
      : []),
    ...report.findings.flatMap((one) => finding(one, report)),
    ...rest(report),
  ];
}

function finding(one: FindingReport, report: Report): string[] {
  const { finding: found, number, host, flows, ladder, elsewhere, translated } = one;
  const process = processText(one);
  const about = [
    times(found.count),
    span(one, report),
    `on ${md(host)}${netnsText(found).replace(' in', ',')}`,
    ...(process === null ? [] : [`process ${code(process)}`]),
    ...endTexts(found).map(code),
    basisText(found),
  ];
  return [
    '',
    `### ${number}. ${md(capital(found.title))} (${code(found.cause)}, ${SEVERITY_WORD[found.severity]})`,
    '',
    `**${md(found.summary)}**`,
    '',
    `Seen ${about.join('; ')}.`,
    ...(elsewhere.length > 0
      ? [
          '',
          `The same connections, seen from another host: ${elsewhere.map((n) => `finding ${n}`).join(', ')}.`,
        ]
      : []),
    ...(translated.length > 0
      ? ['', `Translated on the way: ${translated.map(translatedText).join('; ')}.`]
      : []),
    ...advice(found.advice),
    '',
    ...table(
      ['evidence', ''],
      evidenceRows(found.evidence).map(({ name, value, depth }) => [
        `${'&nbsp;'.repeat(2 * depth)}${md(name)}`,
        value === '' ? '' : code(value),
      ]),
    ),
    ...(flows.length > 1
      ? [
          '',
          `Connections, newest first: ${flows
            .slice(0, MAX_FLOWS)
            .map(({ text, count }) => `${code(text)}${count > 1 ? ` (${count})` : ''}`)
            .join(', ')}${flows.length > MAX_FLOWS ? ' and others' : ''}.`,
        ]
      : []),
    ...(ladder
      ? [
          '',
          'Sequence of events on the newest connection:',
          '',
          ...fenced(ladderLines(ladder), 'text'),
        ]
      : []),
  ];
}

/** Each command in a fence of its own, which can be copied at once. */
function advice(pieces: readonly string[]): string[] {
  const items = pieces.flatMap((piece) => {
    const lines = adviceParts(piece).flatMap((part) =>
      'command' in part ? fenced([part.command], 'sh') : [md(part.words)],
    );
    return lines.map((line, at) => (at === 0 ? `- ${line}` : `  ${line}`));
  });
  return items.length === 0 ? [] : ['', 'What to do:', '', ...items];
}

/** `10.0.0.5:4000` here is `192.0.2.7:61000` at web-1 */
function translatedText({ here, there, hosts }: FindingReport['translated'][number]): string {
  return `${code(here)} here is ${code(there)} at ${hosts.map(md).join(' and ')}`;
}

function rest(report: Report): string[] {
  const { rest: rows, omitted } = report;
  if (rows.length === 0) return [];
  const shown = rows.slice(0, MAX_ROWS);
  const missing = rows.length - shown.length + omitted;
  return [
    '',
    '### The others',
    '',
    ...table(
      ['', 'cause', 'times', 'host', 'what'],
      shown.map(({ number, finding: found, host }) => [
        String(number),
        code(found.cause),
        thousands(found.count),
        md(host),
        md(found.summary),
      ]),
      [0, 2],
    ),
    ...(missing > 0 ? ['', `${thousands(missing)} more are not listed; ${allOf(report)}.`] : []),
  ];
}

function ends({ talkers, services, told }: Report): string[] {
  if (services.length === 0) return [];
  const rows = (list: Report['talkers']) =>
    list.map(({ text, count, causes }) => [
      code(text),
      thousands(count),
      causes
        .slice(0, 3)
        .map(({ id, count: often }) => `${code(id)} ${thousands(often)}`)
        .join(', '),
    ]);
  return [
    '',
    '## Where it happened',
    '',
    ...table(['listener or service', 'failures', 'causes'], rows(services), [1]),
    ...(told ? [] : ['', ...table(['talker', 'failures', 'causes'], rows(talkers), [1])]),
  ];
}

function lost(report: Report): string[] {
  if (report.told) return ['', '## Lost or not observable', '', WHAT_AGENTS_MISS];
  const { hosts } = report;
  const losses = hosts.flatMap(({ name, losses: rows }) =>
    rows.map((row) => [
      md(name),
      code(row.name),
      row.severity,
      thousands(row.count),
      md(row.meaning),
    ]),
  );
  const blind = hosts.flatMap(({ name, not_observable }) =>
    not_observable.map(({ id, title: what }) => [md(name), code(id), md(what)]),
  );
  return [
    '',
    '## Lost or not observable',
    '',
    ...(losses.length > 0
      ? table(['host', 'loss', 'severity', 'times', 'meaning'], losses, [3])
      : ['Nothing was lost.']),
    '',
    ...(blind.length > 0
      ? [
          'These causes could not have been seen: their absence says nothing.',
          '',
          ...table(['host', 'cause', 'what it is'], blind),
        ]
      : [allSeen(report)]),
  ];
}

function toldHosts({ hosts }: ToldReport): string[] {
  const shown = mostFailures(hosts);
  const rows = shown.map(({ name, version, findings, count }) => [
    ...[md(name), thousands(findings), thousands(count), md(version)],
  ]);
  const more = hosts.length - shown.length;
  return [
    ...['', '## Hosts', ''],
    ...table(['host', 'findings', 'failures', 'tcpwhy'], rows, [1, 2]),
    ...(more > 0 ? ['', `${plural(more, 'host')} with fewer failures left out.`] : []),
  ];
}

function hostLines(host: HostReport, report: Report): string[] {
  const { name, kernel, tier, filters, files, ended } = host;
  const counters = host.counters.map((row) => [
    code(row.name),
    thousands(row.start),
    row.end === null ? '' : thousands(row.end),
    counterChange(row),
  ]);
  return [
    '',
    `## Host ${md(name)}`,
    '',
    `${left(host) ?? `Linux ${code(kernel)}, ${md(tier)} tier, recorded`} from ${moment(host.start_ns, report)} to ${moment(host.end_ns, report)}${left(host) ? '' : ` by tcpwhy ${md(host.version)}; ${ended === null ? 'cut off' : `ended: ${md(ended)}`}`}. ${filters.length > 0 ? `Only ${filters.map(code).join(', ')} was watched. ` : left(host) ? '' : 'Everything was watched. '}${plural(host.events, 'event')} in ${files.map(code).join(', ')}.`,
    '',
    ...(counters.length > 0
      ? [
          `Counters of network namespace ${host.netns}:`,
          '',
          ...table(['counter', 'start', 'end', 'change'], counters, [1, 2, 3]),
          '',
        ]
      : []),
    ...(host.sysctls.length > 0
      ? table(
          ['setting', 'value'],
          host.sysctls.map(({ name: key, value }) => [code(key), code(value)]),
        )
      : []),
  ];
}
