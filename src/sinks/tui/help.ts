// SPDX-License-Identifier: Apache-2.0

import { plural } from '../format.ts';
import { type Line, span } from './lines.ts';
import type { ScreenModel } from './model.ts';
import { padEnd, wrap } from './text.ts';

const KEYS: readonly (readonly [string, string])[] = [
  ['j k, arrows', 'select a finding; scroll where there is more'],
  ['PgUp PgDn', 'a page; g G, Home, End: first and last'],
  ['Enter', 'open the finding: evidence, what to do, flows, events'],
  ['Esc', 'back; in the table: clear the filter'],
  ['/', 'filter: words to find in cause, reason, address, process; Enter keeps, Esc clears'],
  ['s', 'sort by severity, count, rate, last seen, cause'],
  ['p', 'pause: the view stands still, watching goes on'],
  ['a', 'show benign findings too (ordinary duplicates and teardown)'],
  ['Ctrl-L', 'draw the screen anew'],
  ['q, Ctrl-C', 'quit'],
];

const PLAYBACK: readonly (readonly [string, string])[] = [
  ['p', 'pause the recording, and go on'],
  ['Left Right', '10 seconds back or forward'],
  ['< >', 'slower, faster: up to 64 times'],
];

const SIGNS: readonly (readonly [string, string])[] = [
  ['E W I', 'error, warning, information; b: benign'],
  ['COUNT', 'how often since the start, exact also where events are sampled'],
  ['RATE', 'occurrences a second, now; beside it the last 30 seconds'],
  ['SEEN', 'how long ago it last happened'],
  ['direct', 'the kernel was seen deciding it; inferred: it follows from what was seen around it'],
  ['unexplained', 'drops and resets that no cause accounts for'],
];

const NAME = 12;

function pairs(rows: readonly (readonly [string, string])[], width: number): Line[] {
  return rows.flatMap(([name, text]) =>
    wrap(text, width - NAME - 2).map((part, i) => [
      span(`  ${padEnd(i === 0 ? name : '', NAME)}`, 'strong'),
      span(part),
    ]),
  );
}

function text(words: string, width: number): Line[] {
  return wrap(words, width - 2).map((part) => [span('  '), span(part)]);
}

function lost(model: ScreenModel): string {
  if (model.lost === 0) return 'Nothing got lost: every record of the kernel arrived.';
  return `${plural(model.lost, 'record')} got lost between the kernel and here. A finding may lack some of its events, and a rare failure may be missing.`;
}

function blind(model: ScreenModel): string {
  if (model.not_observable.length === 0) return 'Every known cause can be seen here.';
  return `${plural(model.not_observable.length, 'cause')}: that none of them is shown says nothing about whether they happen. tcpwhy doctor says why.`;
}

export function helpLines(model: ScreenModel, width: number): Line[] {
  return [
    [span('KEYS', 'strong')],
    ...pairs(KEYS, width),
    [],
    ...(model.playback ? [[span('RECORDING', 'strong')], ...pairs(PLAYBACK, width), []] : []),
    [span('SIGNS', 'strong')],
    ...pairs(SIGNS, width),
    [],
    [span('LOST', 'strong')],
    ...text(lost(model), width),
    [],
    [
      span('NOT OBSERVABLE', 'strong'),
      span(` on ${model.host}, ${model.kernel}, ${model.tier} tier`, 'dim'),
    ],
    ...text(blind(model), width),
    ...(model.not_observable.length === 0
      ? []
      : [[], ...text(model.not_observable.join('  '), width)]),
  ];
}
