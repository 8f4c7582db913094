// SPDX-License-Identifier: Apache-2.0

import type { Glyphs } from './glyphs.ts';
import { cutLine, type Line, lineWidth, span, spread } from './lines.ts';
import type { State } from './state.ts';
import { cutStart } from './text.ts';

type Hint = readonly [key: string, does: string];

function hintsFor(state: State, glyphs: Glyphs): Hint[] {
  const move = glyphs.updown;
  const { playback } = state.model;
  const pause: Hint = ['p', (playback?.paused ?? state.paused) ? 'go on' : 'pause'];
  const play: Hint[] = playback ? [pause, [glyphs.leftright, '10 s'], ['< >', 'speed']] : [pause];
  if (state.help !== null)
    return [
      ['q', 'quit'],
      ['Esc', 'close'],
      [move, 'scroll'],
      ['PgDn', 'page'],
    ];
  if (state.open !== null)
    return [
      ['q', 'quit'],
      ['Esc', 'back'],
      ['?', 'help'],
      [move, 'scroll'],
      ...play,
      ['PgDn', 'page'],
    ];
  return [
    ['q', 'quit'],
    ['?', 'help'],
    ['Enter', 'open'],
    ['/', 'filter'],
    [move, 'select'],
    ...play,
    ['s', 'sort'],
    ['a', 'benign'],
  ];
}

/** The order in which hints stand; `hintsFor` has the order in which they matter. */
const ORDER = [
  ...['↑↓', 'Up/Dn', 'PgDn', 'Enter', 'Esc', '/', 's'],
  ...['p', '←→', 'Lt/Rt', '< >', 'a', '?', 'q'],
];

function hintLine(hints: Hint[]): Line {
  const ordered = [...hints].sort((a, b) => ORDER.indexOf(a[0]) - ORDER.indexOf(b[0]));
  return ordered.flatMap(([key, does], i) => [
    span(i === 0 ? ' ' : '  '),
    span(key, 'strong'),
    span(` ${does}`, 'dim'),
  ]);
}

/** One row: what the keys do here, or what is being typed. */
export function footerLine(state: State, width: number, glyphs: Glyphs): Line {
  if (state.typing) {
    const keys = [
      span('Enter', 'strong'),
      span(' keep  ', 'dim'),
      span('Esc', 'strong'),
      span(' clear ', 'dim'),
    ];
    const label = ' filter: ';
    const room = Math.max(1, width - label.length - lineWidth(keys) - 2);
    return spread(
      [
        span(label, 'strong'),
        span(cutStart(state.filter, room, glyphs.ellipsis)),
        span('_', 'strong'),
      ],
      keys,
      width,
      glyphs,
    );
  }
  const { trouble } = state.model;
  if (trouble) {
    const quit = hintLine([['q', 'quit']]);
    return spread([span(` not recorded: ${trouble} `, 'alert')], quit, width, glyphs);
  }
  let hints = hintsFor(state, glyphs);
  while (hints.length > 1 && lineWidth(hintLine(hints)) > width) hints = hints.slice(0, -1);
  return cutLine(hintLine(hints), width, glyphs);
}
