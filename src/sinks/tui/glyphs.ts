// SPDX-License-Identifier: Apache-2.0

/** The signs drawn on the screen: everything beyond ASCII that the sink itself writes is here. */
export interface Glyphs {
  rule: string;
  bar: string;
  arrow: string;
  ellipsis: string;
  dot: string;
  /** The keys that move: up and down. */
  updown: string;
  leftright: string;
  times: string;
  /** Nothing, then low to high. */
  spark: readonly string[];
}

export const UNICODE: Glyphs = {
  rule: '─',
  bar: '│',
  arrow: '→',
  ellipsis: '…',
  dot: '·',
  updown: '↑↓',
  leftright: '←→',
  times: '×',
  spark: ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
};

export const ASCII: Glyphs = {
  rule: '-',
  bar: '|',
  arrow: '->',
  ellipsis: '~',
  dot: '-',
  updown: 'Up/Dn',
  leftright: 'Lt/Rt',
  times: 'x',
  spark: [' ', '.', ':', '-', '=', '+', '*', '%', '#'],
};

/** ASCII where the terminal is known to show nothing better; a locale that is not set at all (containers) is no such sign. */
export function glyphsFor(env: Record<string, string | undefined>): Glyphs {
  if (/^(linux|dumb|vt\d+)$/.test(env.TERM ?? '')) return ASCII;
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG;
  return !locale || /utf-?8/i.test(locale) ? UNICODE : ASCII;
}
