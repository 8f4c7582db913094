// SPDX-License-Identifier: Apache-2.0

import type { Evidence, EvidenceValue } from '../causes/define.ts';
import { bytes, clockMicros, duration } from './format.ts';
import { printable } from './printable.ts';

/** One row of evidence. `value` is empty for the head of a group whose members follow, one deeper. */
export interface EvidenceRow {
  name: string;
  value: string;
  depth: number;
}

/** A time since 1970 in ns is far above any duration or time since boot. */
const WALL_CLOCK_NS = 1e17;
const LONGEST_VALUE = 2000;
const MOST_ITEMS = 50;

const UNIT: Record<string, (n: number) => string> = {
  ns: (n) => (n >= WALL_CLOCK_NS ? `${clockMicros(n)} UTC` : duration(n)),
  us: (n) => duration(n * 1e3),
  ms: (n) => duration(n * 1e6),
  s: (n) => duration(n * 1e9),
  bytes,
  pct: (n) => `${n} %`,
  percent: (n) => `${n} %`,
};

const isGroup = (
  value: EvidenceValue,
): value is Exclude<EvidenceValue, string | number | boolean | null> =>
  typeof value === 'object' && value !== null;

/** `idle_ms` → `idle` and a way to write its number. Names of the kernel (ListenOverflows, net.ipv4.x) stay as they are. */
function reading(name: string): { name: string; write: (n: number) => string } {
  const at = name.lastIndexOf('_');
  const unit = at > 0 ? UNIT[name.slice(at + 1)] : undefined;
  const bare = unit === undefined ? name : name.slice(0, at);
  return {
    name: printable(bare.includes('.') ? bare : bare.replaceAll('_', ' ')),
    write: unit ?? String,
  };
}

function scalar(value: string | number | boolean | null, write: (n: number) => string): string {
  if (value === null) return 'unknown';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') return Number.isFinite(value) ? write(value) : String(value);
  const text = printable(value);
  return text.length > LONGEST_VALUE
    ? `${text.slice(0, LONGEST_VALUE)} (${text.length} characters)`
    : text;
}

const LIMIT = /^(max|maximum|limit)$/;
const MEASURE = /^(len|length|used|count|current)$/;

/** What a number and its limit have in common: `accept_queue` of accept_queue_len, accept_queue_max, max_accept_queue. */
function stem(name: string): string {
  return name
    .split('_')
    .filter((word) => !LIMIT.test(word) && !MEASURE.test(word))
    .join('_');
}

const isLimit = (name: string) => name.split('_').some((word) => LIMIT.test(word));

function limitOf(name: string, evidence: Evidence): string | undefined {
  if (isLimit(name) || stem(name) === '') return undefined;
  return Object.keys(evidence).find(
    (key) => isLimit(key) && stem(key) === stem(name) && typeof evidence[key] === 'number',
  );
}

function oneLine(value: EvidenceValue): string {
  if (Array.isArray(value)) return value.map(oneLine).join(', ');
  if (!isGroup(value)) return scalar(value, String);
  return Object.entries(value)
    .map(([key, member]) => {
      const { name, write } = reading(key);
      return `${name} ${isGroup(member) ? `(${oneLine(member)})` : scalar(member, write)}`;
    })
    .join(', ');
}

function listRows(name: string, items: EvidenceValue[], depth: number): EvidenceRow[] {
  if (items.length === 0) return [{ name, value: 'none', depth }];
  const shown = items.slice(0, MOST_ITEMS).map(oneLine);
  const more = items.length > MOST_ITEMS ? [`and ${items.length - MOST_ITEMS} more`] : [];
  if (!items.some(isGroup)) return [{ name, value: [...shown, ...more].join(', '), depth }];
  return [...shown, ...more].map((value, i) => ({ name: i === 0 ? name : '', value, depth }));
}

/** Evidence as rows of name and value: units written out, a number beside its limit, groups indented. */
export function evidenceRows(evidence: Evidence, depth = 0): EvidenceRow[] {
  const limits = new Set(
    Object.entries(evidence).flatMap(([name, value]) =>
      typeof value === 'number' ? (limitOf(name, evidence) ?? []) : [],
    ),
  );
  return Object.entries(evidence).flatMap(([key, value]): EvidenceRow[] => {
    const { name, write } = reading(key);
    if (Array.isArray(value)) return listRows(name, value, depth);
    if (isGroup(value)) {
      if (depth >= 4) return [{ name, value: oneLine(value), depth }];
      const inner = evidenceRows(value, depth + 1);
      return inner.length === 0
        ? [{ name, value: 'none', depth }]
        : [{ name, value: '', depth }, ...inner];
    }
    if (limits.has(key)) return [];
    const limit = typeof value === 'number' ? limitOf(key, evidence) : undefined;
    const text = scalar(value, write);
    return [
      {
        name,
        value:
          limit === undefined ? text : `${text} of ${scalar(evidence[limit] as number, write)}`,
        depth,
      },
    ];
  });
}
