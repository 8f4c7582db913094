// SPDX-License-Identifier: Apache-2.0

import { readlinkSync, readSync } from 'node:fs';

/** Where a service has what systemd opened for it (OpenFile=, StandardInput=). */
const MOST_HANDED = 16;
const CHUNK_BYTES = 1 << 20;

/** Open files by their paths, as they were first looked for. */
let handed: ReadonlyMap<string, number> | null = null;

function all(): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (let fd = 0; fd < MOST_HANDED; fd++) {
    try {
      found.set(readlinkSync(`/proc/self/fd/${fd}`), fd);
    } catch {
      // It is not open.
    }
  }
  return found;
}

/**
 * A file that this process was begun with, as who opened it may read it: its descriptor, to be read by place.
 * Undefined where it was not given that one.
 */
export function handedFile(path: string): number | undefined {
  handed ??= all();
  return handed.get(path);
}

/** All of it; null where it was not given. */
export function readHanded(path: string): Buffer | null {
  const fd = handedFile(path);
  if (fd === undefined) return null;
  const room = Buffer.allocUnsafe(CHUNK_BYTES);
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const bytes = readSync(fd, room, 0, CHUNK_BYTES, at);
    if (bytes === 0) return Buffer.concat(chunks);
    // Files of /proc give a page at a time.
    chunks.push(Buffer.from(room.subarray(0, bytes)));
    at += bytes;
  }
}
