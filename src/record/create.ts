// SPDX-License-Identifier: Apache-2.0

import { closeSync, constants, fstatSync, lstatSync, openSync, rmSync, statSync } from 'node:fs';

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;

/** What stands under a name already. */
export type Existing = 'nothing' | 'file' | 'stream';

/** A stream is no file: a pipe or a device, also by a link, as /dev/stdout is one. */
export function existing(path: string): Existing {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return 'nothing';
  const target = found.isSymbolicLink() ? statSync(path, { throwIfNoEntry: false }) : found;
  return target && !target.isFile() && !target.isDirectory() ? 'stream' : 'file';
}

/** Its file descriptor: of a file that nobody else may read, and that was not there. Follows no link. */
export function createFile(path: string): number {
  return openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
}

/** The same in place of the file or link that is there. */
export function replaceFile(path: string): number {
  rmSync(path, { force: true });
  return createFile(path);
}

/**
 * The file descriptor of a stream; unless it `waits`, writing to it does not (EAGAIN). What has become a file meanwhile is not
 * touched, and a pipe that nobody reads is refused.
 */
export function openStream(path: string, waits = false): number {
  const fd = openUnlessUnread(path);
  if (fstatSync(fd).isFile()) {
    closeSync(fd);
    throw new Error('it is a file by now');
  }
  if (!waits) return fd;
  const waiting = openSync(`/proc/self/fd/${fd}`, O_WRONLY);
  closeSync(fd);
  return waiting;
}

function openUnlessUnread(path: string): number {
  try {
    return openSync(path, O_WRONLY | O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
    throw new Error('nobody reads this pipe: start what reads it first');
  }
}

/** Why nothing may be written under this name, and what to do; null where it may. */
export function refusal(path: string, force: boolean): string | null {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return `${path} is a directory`;
  if (force || existing(path) !== 'file') return null;
  return `${path} exists: give another name, or --force to replace it`;
}
