// SPDX-License-Identifier: Apache-2.0

import { existsSync } from 'node:fs';
import type { Severity } from '../causes/define.ts';
import { findNetns } from '../host/netns.ts';
import { existing, refusal } from '../record/create.ts';
import type { Rotation } from '../record/parts.ts';
import { type Filter, MOST_TARGETS, type Target } from '../source/filter.ts';
import { mayBeToa } from '../source/toa.ts';
import { familyOf } from '../tcp/address.ts';
import { parsePort, splitEndpoint } from '../tcp/endpoint.ts';
import { holdsIPv4, type Net, parseNet } from '../tcp/network.ts';
import { UsageError } from './usage.ts';

/** Which connections, as the command line gives it. */
export interface FilterFlags {
  port?: string[];
  host?: string[];
  netns?: string;
}

/** What the commands that watch have in common, as the command line gives it. */
export interface WatchFlags extends FilterFlags {
  cause?: string[];
  for?: string;
  first?: boolean;
  json?: boolean;
  events?: boolean;
  output?: string;
  maxSize?: string;
  maxAge?: string;
  keep?: string;
  force?: boolean;
  hostName?: boolean;
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

const TARGETS =
  'a port (3306), an address (10.0.0.5), a network (10.0.0.0/8) or one of these with a port (10.0.0.5:3306, [2001:db8::/32]:443)';

/**
 * `3306`, `:3306`, `10.0.0.5`, `10.0.0.0/8`, `10.0.0.5:3306`, `[2001:db8::1]:443`, `[2001:db8::/32]:443`,
 * `2001:db8::1`. Throws UsageError.
 */
export function parseTarget(text: string): Target {
  if (/^:?\d+$/.test(text)) return { net: null, port: portFrom(text) };
  const alone = netFrom(text);
  if (alone) return { net: alone, port: null };
  const both = splitEndpoint(text);
  const net = both && netFrom(both.host);
  if (!net) throw new UsageError(`${text} is no target: give ${TARGETS}`);
  return { net, port: both.port === null ? null : portFrom(both.port) };
}

/** An address, or a network with the length of its prefix; null where it is neither. */
function netFrom(text: string): Net | null {
  let net: Net | null;
  try {
    net = parseNet(text);
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error;
  }
  if (net && familyOf(net.address) === 6 && holdsIPv4(net))
    throw new UsageError(`${text} would be every IPv4 address too: 2000::/3 is IPv6`);
  return net;
}

function portFrom(text: string): number {
  const port = parsePort(text.replace(/^:/, ''));
  if (port === null) throw new UsageError(`${text} is no port: 1 to 65535`);
  return port;
}

function parseHost(text: string): Target {
  const net = netFrom(text);
  if (!net) throw new UsageError(`--host ${text} is no address and no network`);
  return { net, port: null };
}

/**
 * Targets and flags as one filter: any of the targets, any --host, any --port, and all that are given of these
 * three. Throws UsageError.
 */
export function filterFrom(targets: string[], flags: FilterFlags): Filter {
  let netns: number | null = null;
  if (flags.netns !== undefined) {
    netns = findNetns(flags.netns);
    if (netns === null)
      throw new UsageError(
        `--netns ${flags.netns}: no such namespace (a name of ip netns, a path, pid:PID, or an inode number)`,
      );
  }
  return { groups: groupsFrom(targets, flags), netns };
}

/** The same for a recording, which knows namespaces by their inode numbers only. */
export function recordedFilterFrom(targets: string[], flags: FilterFlags): Filter {
  const { netns } = flags;
  if (netns !== undefined && !/^\d+$/.test(netns))
    throw new UsageError(
      `--netns ${netns}: of a recording give the inode number, as netns of --json --events has it`,
    );
  return { groups: groupsFrom(targets, flags), netns: netns === undefined ? null : Number(netns) };
}

function groupsFrom(targets: string[], { port = [], host = [] }: FilterFlags): Target[][] {
  const groups = [
    targets.map(parseTarget),
    host.map(parseHost),
    port.map((one): Target => ({ net: null, port: portFrom(one) })),
  ].filter((group) => group.length > 0);
  const count = groups.flat().length;
  if (count > MOST_TARGETS)
    throw new UsageError(
      `${count} targets: at most ${MOST_TARGETS} at a time; a network (10.0.0.0/8) is one`,
    );
  return groups;
}

/**
 * Arguments that name files, and those that are targets. What is both is a file: `:3306` is never one.
 * Throws UsageError where something is neither, or there is no file.
 */
export function filesAndTargets(args: string[]): { files: string[]; targets: string[] } {
  const isFile = (arg: string) => existsSync(arg);
  const files = args.filter(isFile);
  const targets = args.filter((arg) => !isFile(arg));
  for (const target of targets) {
    try {
      parseTarget(target);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      throw new UsageError(
        `${target} is no file (cannot read ${target}: there is none of that name), and no target (${TARGETS})`,
      );
    }
  }
  if (files.length === 0)
    throw new UsageError(`no recording is given: ${targets.join(' ')} is no file that is there`);
  return { files, targets };
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

/**
 * The same for a recording that is to be made, before anything is watched. Throws UsageError where -o names
 * what may not be written.
 */
export function recordingFrom(flags: WatchFlags): Rotation | null {
  const rotation = rotationFrom(flags);
  const { output, force = false } = flags;
  if (flags.anonymize)
    throw new UsageError(
      '--anonymize hid the name of this host only, which --no-host-name does now; addresses, processes, containers and devices are hidden by tcpwhy report --anonymize',
    );
  if (output === undefined) {
    if (force) throw new UsageError('--force needs -o FILE');
    if (flags.hostName === false) throw new UsageError('--no-host-name needs -o FILE');
    return null;
  }
  if (output === '-') {
    throw new UsageError(
      '-o -: stdout has the findings; give a recording a name, or a pipe: -o >(…)',
    );
  }
  if (!rotation) {
    const why = refusal(output, force);
    if (why !== null) throw new UsageError(why);
  } else if (force) {
    throw new UsageError(
      '--force has no use with --max-size and --max-age: each file gets a new name',
    );
  } else if (existing(output) === 'stream') {
    throw new UsageError(`-o ${output}: --max-size and --max-age need files`);
  }
  return rotation;
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
