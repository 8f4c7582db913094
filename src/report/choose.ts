// SPDX-License-Identifier: Apache-2.0

import { weight } from '../causes/define.ts';
import type { Finding } from '../diagnose/finding.ts';

/** No causes: what is left over goes last. */
const REST = ['unexplained', 'benign'];

type Ranked = { finding: Finding; host: number };

/** The most severe first, then the most frequent. */
function byWeight(a: Ranked, b: Ranked): number {
  const [x, y] = [a.finding, b.finding];
  return (
    REST.indexOf(x.cause) - REST.indexOf(y.cause) ||
    weight(y.severity) - weight(x.severity) ||
    y.count - x.count ||
    x.first_ns - y.first_ns ||
    (x.id < y.id ? -1 : 1)
  );
}

/**
 * Those to be shown in full: of each cause and host the weightiest one, so that a frequent cause hides
 * no rare one, then the weightiest of all. Both lists are in the order of weight.
 */
export function choose<Row extends Ranked>(rows: readonly Row[], full: number) {
  const sorted = [...rows].sort(byWeight);
  const first = new Map<string, Row>();
  for (const row of sorted) {
    const key = `${row.host} ${row.finding.cause}`;
    if (!first.has(key)) first.set(key, row);
  }
  const chosen = new Set([...first.values()].slice(0, full));
  for (const row of sorted) {
    if (chosen.size >= full) break;
    chosen.add(row);
  }
  return {
    chosen: sorted.filter((row) => chosen.has(row)),
    rest: sorted.filter((row) => !chosen.has(row)),
  };
}
