// SPDX-License-Identifier: Apache-2.0

import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** Up to where all that was recorded has been delivered. */
export interface Cursor {
  /** Of the file, as its name has it. */
  number: number;
  /** Of its header, so that another file of that number is told apart. Empty: nothing of it was delivered. */
  run: string;
  part: number;
  /** Of the tick up to which all that was found in it was delivered; 0: nothing yet. */
  ktime_ns: number;
}

/**
 * Null where there is none, or none that can be read, which `damaged` is told of: then all there is counts as not
 * delivered.
 */
export function readCursor(path: string, damaged: (why: string) => void): Cursor | null {
  try {
    const { number, run, part, ktime_ns } = JSON.parse(readFileSync(path, 'utf8'));
    const whole =
      [number, part, ktime_ns].every((one) => Number.isSafeInteger(one) && one >= 0) &&
      typeof run === 'string';
    if (whole) return { number, run, part, ktime_ns };
    damaged('it is no cursor');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') damaged(code ? message : 'it is no cursor');
  }
  return null;
}

/** In place of the one before, which is there until this one is on the disk. Throws the file system's errors. */
export function writeCursor(path: string, cursor: Cursor): void {
  const next = `${path}.next`;
  const fd = openSync(next, 'w', 0o600);
  try {
    writeSync(fd, `${JSON.stringify(cursor)}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(next, path);
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
