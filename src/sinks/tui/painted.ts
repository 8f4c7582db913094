// SPDX-License-Identifier: Apache-2.0

import { styleText } from 'node:util';
import type { Line, Style } from './lines.ts';

const LOOKS: Record<Style, Parameters<typeof styleText>[0]> = {
  plain: [],
  strong: 'bold',
  dim: 'dim',
  error: ['red', 'bold'],
  warning: ['yellow', 'bold'],
  info: 'cyan',
  good: 'green',
  selected: ['inverse', 'bold'],
  alert: ['white', 'bgRed', 'bold'],
  notice: ['black', 'bgYellow', 'bold'],
};

/** A row as it is written. Without colour no escape code is in it: the text alone says everything. */
export function painted(line: Line, color: boolean): string {
  const parts = line.map(({ text, style }) =>
    color && style !== 'plain' ? styleText(LOOKS[style], text, { validateStream: false }) : text,
  );
  return parts.join('');
}
