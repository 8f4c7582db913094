// SPDX-License-Identifier: Apache-2.0

import { readdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const DIGITS = 6;

/** When a recording goes on in another file; null: never for that reason. */
export interface Rotation {
  max_bytes: number | null;
  max_age_ms: number | null;
  /** So many files, the one being written among them; older ones are deleted. */
  keep: number;
  /** So large may all of them be together, without the one being written. */
  keep_bytes?: number;
  /** A disk that is full at the start is waited for, as it is later on. */
  waits?: boolean;
}

/** `x.000007.tcpwhy.zst`: file `number` of the recording `x.tcpwhy.zst`. */
export function partPath(path: string, number: number): string {
  const { stem, suffix } = split(path);
  return join(dirname(path), `${stem}.${String(number).padStart(DIGITS, '0')}${suffix}`);
}

/** Numbers of the files there are, ascending, those of earlier runs among them. */
export function partNumbers(path: string): number[] {
  const { stem, suffix } = split(path);
  return readdirSync(dirname(path))
    .filter((name) => name.startsWith(`${stem}.`) && name.endsWith(suffix))
    .map((name) => name.slice(stem.length + 1, name.length - suffix.length))
    .filter((digits) => digits.length >= DIGITS && /^\d+$/.test(digits))
    .map(Number)
    .sort((a, b) => a - b);
}

/** Deletes the oldest files, so that there is room for one more. Throws the file system's errors. */
export function prune(path: string, { keep, keep_bytes = Infinity }: Rotation): void {
  let files = 1;
  let bytes = 0;
  for (const number of partNumbers(path).reverse()) {
    const file = partPath(path, number);
    bytes += statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    if (++files > keep || bytes > keep_bytes) rmSync(file, { force: true });
  }
}

function split(path: string): { stem: string; suffix: string } {
  const name = basename(path);
  const suffix = name.match(/(?:\.tcpwhy)?(?:\.zst)?$/)?.[0] ?? '';
  return { stem: name.slice(0, name.length - suffix.length), suffix };
}
