// SPDX-License-Identifier: Apache-2.0

import type { Values } from '../app/declare.ts';
import type { CATALOGUE } from '../app/flags.ts';
import { UsageError } from '../app/usage.ts';
import type { Cause } from '../causes/define.ts';
import { PAGES } from '../causes/pages.gen.ts';
import { CAUSES } from '../causes/registry.gen.ts';
import { SYMPTOMS } from '../causes/symptoms.ts';
import { jsonText } from '../sinks/printable.ts';
import { wrap } from '../sinks/wrap.ts';

/** The catalogue, or the page of one cause. */
export function causes(
  [id]: readonly string[],
  flags: Values<typeof CATALOGUE>,
  write: (text: string) => void,
): number {
  if (id === undefined) {
    for (const cause of CAUSES) {
      if (flags.json) write(`${jsonLine(cause)}\n`);
      else for (const line of row(cause.id, cause.severity, cause.title)) write(`${line}\n`);
    }
    return 0;
  }
  const cause = CAUSES.find((one) => one.id === id);
  if (!cause) throw new UsageError(`no cause ${id}; tcpwhy causes lists them`);
  if (flags.json) {
    write(`${jsonLine(cause)}\n`);
    return 0;
  }
  const { severity, title, explains, seenAs } = cause;
  const seen = `seen as: ${seenAs.map((symptom) => SYMPTOMS[symptom].title).join('; ')}`;
  const head = [
    ...wrap(`${id} (${severity}): ${title}`, '', '  '),
    '',
    ...wrap(explains, '', ''),
    '',
    ...wrap(seen, '', '  '),
  ];
  write(`${[...head, '', ...pageLines(PAGES[id] ?? ''), '', ...READING].join('\n')}\n`);
  return 0;
}

/** What docs/causes/README.md says at length. */
const READING = [
  'Commands are for root; fill in the values of the finding. For a container:',
  'nsenter -t PID -n COMMAND. [S] is a SYN, [SA] the answer to it, [A] an ACK,',
  '[PA] data, [F] a FIN, [R] a reset.',
];

function jsonLine(cause: Cause): string {
  const { id, severity, title, explains, needs, supersedes = [], seenAs } = cause;
  const seen_as = seenAs.map((symptom) => SYMPTOMS[symptom].title);
  return jsonText({ type: 'cause', id, severity, title, explains, needs, supersedes, seen_as });
}

function row(id: string, severity: string, title: string): string[] {
  const first = `${id.padEnd(22)} ${severity.padEnd(8)} `;
  return wrap(title, first, ' '.repeat(first.length));
}

/** A page's Markdown for a terminal of 80 columns: text is wrapped, code and tables stay. */
export function pageLines(markdown: string): string[] {
  const lines: string[] = [];
  let block: { text: string; first: string; next: string } | null = null;
  const flush = () => {
    if (block) lines.push(...wrap(block.text, block.first, block.next));
    block = null;
  };
  for (const line of markdown.trimEnd().split('\n')) {
    const [, indent = '', marker = '', text = ''] =
      line.match(/^( *)((?:[-*]|\d+\.) +)?(.*)$/) ?? [];
    const starts = marker !== '' || /^(#|\|)/.test(text) || (!block && text !== '');
    if (starts || text === '') flush();
    if (text === '') lines.push('');
    else if (text.startsWith('#')) lines.push(text.replace(/^#+ /, ''));
    else if (text.startsWith('|')) lines.push(...(/^[|:-]+$/.test(text) ? [] : [`  ${text}`]));
    else if (!block && indent.length >= 4) lines.push(`  ${line}`);
    else if (block) block.text += ` ${text}`;
    else {
      const first = `  ${indent}${marker}`;
      block = { text, first, next: ' '.repeat(first.length) };
    }
  }
  flush();
  return lines;
}
