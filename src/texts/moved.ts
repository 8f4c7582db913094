// SPDX-License-Identifier: Apache-2.0

import { type Counters, CountersError } from './counters.ts';

export interface Moved {
  /** What grew, in the order of the second text. */
  rows: { counter: string; before: number; after: number }[];
  /** What both have, or had. */
  compared: ReadonlySet<string>;
  /** In one of them only, so that nothing is known of it. */
  uncompared: string[];
}

/** They go up and down: how many there are, or a setting. */
const GAUGES = new Set([
  ...['Ip.Forwarding', 'Ip.DefaultTTL', 'Tcp.RtoAlgorithm', 'Tcp.RtoMin', 'Tcp.RtoMax'],
  ...['Tcp.MaxConn', 'Tcp.CurrEstab', 'MPTcpExt.MPCurrEstab'],
]);

/** No host counts more of anything but bytes while somebody waits. */
const MOST_MOVED = 2 ** 40;
/** Their octets are of no cause. */
const BYTES = /Octets$/;

/** Throws CountersError where they cannot be of one host, first and later. */
export function movedBetween(before: Counters, after: Counters): Moved {
  const rows: Moved['rows'] = [];
  const compared = new Set<string>();
  const uncompared: string[] = [];
  const back: string[] = [];
  const order = [...after.values.keys()];
  const whole_to = lastOf(order, before.values);
  for (const [at, counter] of order.entries()) {
    if (GAUGES.has(counter) || BYTES.test(counter)) continue;
    const now = after.values.get(counter) ?? 0;
    const then =
      before.values.get(counter) ?? (omits(before, after, counter, at < whole_to) ? 0 : null);
    if (then === null) {
      if (now !== 0) uncompared.push(counter);
      continue;
    }
    compared.add(counter);
    if (now < then) back.push(`${counter} ${then} → ${now}`);
    else if (now - then > MOST_MOVED)
      throw new CountersError(`are damaged: ${counter} ${then} → ${now}`);
    else if (now > then) rows.push({ counter, before: then, after: now });
  }
  const earlier = [...before.values.keys()];
  const whole_from = lastOf(earlier, after.values);
  for (const [at, counter] of earlier.entries()) {
    const then = before.values.get(counter) ?? 0;
    if (GAUGES.has(counter) || BYTES.test(counter)) continue;
    if (after.values.has(counter) || then === 0) continue;
    if (after.omits_zeros && before.omits_zeros && at < whole_from)
      back.push(`${counter} ${then} → 0`);
    else uncompared.push(counter);
  }
  if (back.length > 0) throw new CountersError(backText(back, rows.length));
  if (compared.size === 0)
    throw new CountersError('have no counter in common: are they of the same command?');
  return { rows, compared, uncompared };
}

/** Whether a text, as the other of its kind, does not have a counter because that is zero, and not as it was cut off. */
function omits(text: Counters, other: Counters, counter: string, isBeforeEnd: boolean): boolean {
  if (!text.omits_zeros || !other.omits_zeros) return false;
  return isBeforeEnd || text.whole.has(counter.slice(0, counter.indexOf('.')));
}

/** Where the last counter is that both have: behind it the other text may have been cut off. */
function lastOf(order: readonly string[], values: ReadonlyMap<string, number>): number {
  return order.findLastIndex((counter) => values.has(counter));
}

function backText(back: readonly string[], forward: number): string {
  const some = `${back.slice(0, 3).join(', ')}${back.length > 3 ? ` and ${back.length - 3} more` : ''}`;
  const why =
    forward === 0
      ? 'they are in the wrong order: the earlier one comes first'
      : 'the host was started anew between them, or they are of different hosts or network namespaces';
  return `go backwards (${some}): ${why}`;
}
