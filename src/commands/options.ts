// SPDX-License-Identifier: Apache-2.0

import { isIP } from 'node:net';
import type { Severity } from '../diagnose/finding.ts';
import { findNetns } from '../host/netns.ts';
import type { Rotation } from '../record/parts.ts';
import type { Filter } from '../source/filter.ts';
import { mayBeToa } from '../source/toa.ts';

/** Wrong use, missing permission or a missing part of the environment: exit status 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** What the commands that watch have in common, as the command line gives it. */
export interface WatchFlags {
  port?: string;
  host?: string;
  netns?: string;
  cause?: string[];
  for?: string;
  first?: boolean;
  json?: boolean;
  events?: boolean;
  output?: string;
  maxSize?: string;
  maxAge?: string;
  keep?: string;
  anonymize?: boolean;
  all?: boolean;
  color: boolean;
  quiet?: boolean;
  verbose?: boolean;
  failOn: string;
  everyRecord?: boolean;
  tier?: string;
  btf?: string;
  toaKind?: string[];
}

/** `3306`, `:3306`, `10.0.0.5`, `10.0.0.5:3306`, `[2001:db8::1]:443`, `2001:db8::1`. */
export function parseTarget(text: string): { host: string | null; port: number | null } {
  const port = text.match(/^:?(\d+)$/)?.[1];
  if (port !== undefined) return { host: null, port: parsePort(port) };
  if (isIP(text)) return { host: text, port: null };
  const both = text.match(/^\[(.+)\](?::(\d+))?$/) ?? text.match(/^([^:]+):(\d+)$/);
  const host = both?.[1];
  if (!both || !host || !isIP(host)) {
    throw new UsageError(
      `${text} is no target: give a port (3306), an address (10.0.0.5) or both (10.0.0.5:3306, [2001:db8::1]:443)`,
    );
  }
  return { host, port: both[2] === undefined ? null : parsePort(both[2]) };
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw new UsageError(`${text} is no port: 1 to 65535`);
  return port;
}

/** Targets and flags as one filter. Throws UsageError where they contradict each other. */
export function filterFrom(
  targets: string[],
  flags: Pick<WatchFlags, 'port' | 'host' | 'netns'>,
): Filter {
  const parsed = targets.map(parseTarget);
  if (flags.port !== undefined)
    parsed.push({ host: null, port: parsePort(flags.port.replace(/^:/, '')) });
  if (flags.host !== undefined) {
    if (!isIP(flags.host)) throw new UsageError(`--host ${flags.host} is no address`);
    parsed.push({ host: flags.host, port: null });
  }
  const only = <Value>(what: string, values: (Value | null)[]): Value | null => {
    const distinct = [...new Set(values.filter((value) => value !== null))];
    if (distinct.length > 1)
      throw new UsageError(`one ${what} can be watched at a time, not ${distinct.join(' and ')}`);
    return distinct[0] ?? null;
  };
  let netns: number | null = null;
  if (flags.netns !== undefined) {
    netns = findNetns(flags.netns);
    if (netns === null)
      throw new UsageError(
        `--netns ${flags.netns}: no such namespace (a name of ip netns, a path, pid:PID, or an inode number)`,
      );
  }
  return {
    host: only(
      'host',
      parsed.map(({ host }) => host),
    ),
    port: only(
      'port',
      parsed.map(({ port }) => port),
    ),
    netns,
  };
}

/** `30s`, `2m`, `500ms`, `1h`, or seconds. */
export function parseDuration(text: string): number {
  const match = text.match(/^(\d+(?:\.\d+)?)(ms|s|m|h)?$/);
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match?.[2] ?? 's'];
  const milliseconds = Number(match?.[1]) * (unit ?? Number.NaN);
  if (!match || !(milliseconds > 0))
    throw new UsageError(`${text} is no duration: 500ms, 30s, 2m, 1h`);
  return milliseconds;
}

/** `100M`, `2G`, `500K`, or bytes. */
export function parseSize(text: string): number {
  const match = text.match(/^(\d+(?:\.\d+)?)([KMG])?(?:i?B)?$/i);
  const unit = { K: 1 << 10, M: 1 << 20, G: 1 << 30 }[match?.[2]?.toUpperCase() ?? ''] ?? 1;
  if (!match) throw new UsageError(`${text} is no size: 500K, 100M, 2G`);
  return Math.round(Number(match[1]) * unit);
}

const SMALLEST_FILE = 64 << 10;
const KEEP = 5;

/** --max-size, --max-age and --keep; null where the recording is one file. */
export function rotationFrom({ output, maxSize, maxAge, keep }: WatchFlags): Rotation | null {
  if (maxSize === undefined && maxAge === undefined) {
    if (keep !== undefined) throw new UsageError('--keep needs --max-size or --max-age');
    return null;
  }
  if (output === undefined) throw new UsageError('--max-size and --max-age need -o FILE');
  const max_bytes = maxSize === undefined ? null : parseSize(maxSize);
  if (max_bytes !== null && max_bytes < SMALLEST_FILE)
    throw new UsageError(`--max-size ${maxSize}: at least 64K`);
  const max_age_ms = maxAge === undefined ? null : parseDuration(maxAge);
  const files = keep === undefined ? KEEP : Number(keep);
  if (!Number.isInteger(files) || files < 1)
    throw new UsageError(`--keep ${keep}: how many files, at least 1`);
  return { max_bytes, max_age_ms, keep: files };
}

export function parseSeverity(text: string): Severity {
  if (text === 'error' || text === 'warning' || text === 'info') return text;
  throw new UsageError(`--fail-on ${text}: error, warning or info`);
}

/** `--tier`: the highest that may be used. */
export function parseTier(text: string | undefined): 'hooks' | 'tracepoints' {
  if (text === undefined || text === 'hooks') return 'hooks';
  if (text === 'tracepoints') return 'tracepoints';
  throw new UsageError(`--tier ${text}: hooks or tracepoints`);
}

/** `--toa-kind`. */
export function parseToaKinds(kinds: readonly string[] = []): number[] {
  return kinds.map((text) => {
    const kind = Number(text);
    if (!mayBeToa(kind))
      throw new UsageError(`--toa-kind ${text}: 1 to 255, and none that TCP itself uses`);
    return kind;
  });
}

export function atLeast(severity: Severity, floor: Severity): boolean {
  const order: Severity[] = ['info', 'warning', 'error'];
  return order.indexOf(severity) >= order.indexOf(floor);
}
