// SPDX-License-Identifier: Apache-2.0

import type { Glyphs } from './glyphs.ts';

/**
 * The history in `width` columns, newest at the right. Its highest value is the highest sign; a column without
 * any occurrence looks different from one with few.
 */
export function spark(history: readonly number[], width: number, glyphs: Glyphs): string {
  if (width <= 0) return '';
  const per = Math.max(1, Math.ceil(history.length / width));
  const columns: number[] = [];
  for (let end = history.length; end > 0 && columns.length < width; end -= per) {
    const slice = history.slice(Math.max(0, end - per), end);
    columns.unshift(slice.reduce((sum, n) => sum + (n > 0 ? n : 0), 0) / slice.length);
  }
  while (columns.length < width) columns.unshift(0);
  const highest = Math.max(...columns);
  const levels = glyphs.spark.length - 1;
  return columns
    .map((n) => glyphs.spark[n > 0 ? Math.max(1, Math.ceil((n / highest) * levels)) : 0] ?? ' ')
    .join('');
}
