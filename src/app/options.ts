// SPDX-License-Identifier: Apache-2.0

import { statSync } from 'node:fs';
import { type Severity, weight } from '../causes/define.ts';
import { findNetns } from '../host/netns.ts';
import { existing, refusal } from '../record/create.ts';
import type { Rotation } from '../record/parts.ts';
import { type Filter, MOST_TARGETS, type Target } from '../source/filter.ts';
import type { FilterFlags, RecordFlags } from './flags.ts';
import { parseTarget, TARGETS } from './parse.ts';
import { UsageError } from './usage.ts';

/**
 * Targets and flags as one filter: any of the targets, any --host, any --port, and all that are given of these
 * three. Throws UsageError.
 */
export function filterFrom(targets: string[], flags: FilterFlags): Filter {
  let netns: number | null = null;
  if (flags.netns !== null) {
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
  if (netns !== null && !/^\d+$/.test(netns))
    throw new UsageError(
      `--netns ${netns}: of a recording give the inode number, as netns of --json --events has it`,
    );
  return { groups: groupsFrom(targets, flags), netns: netns === null ? null : Number(netns) };
}

function groupsFrom(targets: string[], { port, host }: FilterFlags): Target[][] {
  const groups = [
    targets.map(parseTarget),
    host.map((net): Target => ({ net, port: null })),
    port.map((port): Target => ({ net: null, port })),
  ].filter((group) => group.length > 0);
  const count = groups.flat().length;
  if (count > MOST_TARGETS)
    throw new UsageError(
      `${count} targets: at most ${MOST_TARGETS} at a time; a network (10.0.0.0/8) is one`,
    );
  return groups;
}

/** As this process may see it: access(2), which existsSync() asks, takes it for one without capabilities. */
function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

/**
 * Arguments that name files (`what` each is), and those that are targets. What is both is a file: `:3306` is
 * never one. What is among `streams` is always one; `may_be_none`: targets alone will do.
 * Throws UsageError where something is neither, or there is no file.
 */
export function filesAndTargets(
  args: string[],
  what = 'recording',
  streams: readonly string[] = [],
  may_be_none = false,
): { files: string[]; targets: string[] } {
  const isFile = (arg: string) => streams.includes(arg) || isThere(arg);
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
  if (files.length === 0 && !may_be_none)
    throw new UsageError(`no ${what} is given: ${targets.join(' ')} is no file that is there`);
  return { files, targets };
}

/** --max-size, --max-age and --keep; null where the recording is one file. */
export function rotationFrom({ maxSize, maxAge, keep }: RecordFlags): Rotation | null {
  if (maxSize === null && maxAge === null) return null;
  return { max_bytes: maxSize, max_age_ms: maxAge, keep };
}

/**
 * The same for a recording that is to be made, before anything is watched. Throws UsageError where -o names
 * what may not be written.
 */
export function recordingFrom(flags: RecordFlags): Rotation | null {
  const rotation = rotationFrom(flags);
  const { output, force } = flags;
  if (output === null) return null;
  if (output === '-') {
    throw new UsageError(
      '-o -: stdout has the findings; give a recording a name, or a pipe: -o >(…)',
    );
  }
  if (!rotation) {
    const why = refusal(output, force);
    if (why !== null) throw new UsageError(why);
  } else if (existing(output) === 'stream') {
    throw new UsageError(`-o ${output}: --max-size and --max-age need files`);
  }
  return rotation;
}

export function atLeast(severity: Severity, floor: Severity): boolean {
  return weight(severity) >= weight(floor);
}
