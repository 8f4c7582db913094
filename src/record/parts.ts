// SPDX-License-Identifier: Apache-2.0

import { readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const DIGITS = 6;

/** When a recording goes on in another file; null: never for that reason. */
export interface Rotation {
  max_bytes: number | null;
  max_age_ms: number | null;
  /** So many files, the one being written among them; older ones are deleted. */
  keep: number;
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

/** Deletes the oldest files until `keep` are left. Throws the file system's errors. */
export function prune(path: string, keep: number): void {
  const numbers = partNumbers(path);
  for (const number of numbers.slice(0, Math.max(0, numbers.length - keep)))
    rmSync(partPath(path, number), { force: true });
}

function split(path: string): { stem: string; suffix: string } {
  const name = basename(path);
  const suffix = name.match(/(?:\.tcpwhy)?(?:\.zst)?$/)?.[0] ?? '';
  return { stem: name.slice(0, name.length - suffix.length), suffix };
}
