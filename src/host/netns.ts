// SPDX-License-Identifier: Apache-2.0

import { readdirSync, readlinkSync, statSync } from 'node:fs';

/** A path by which each network namespace of this host can be entered, by its inode number. */
export function networkNamespaces(): Map<number, string> {
  const found = new Map<number, string>();
  for (const name of list('/run/netns')) add(`/run/netns/${name}`);
  for (const pid of list('/proc')) {
    if (/^\d+$/.test(pid)) add(`/proc/${pid}/ns/net`);
  }
  return found;

  function add(path: string): void {
    const inode = inodeOf(path);
    if (inode !== null && !found.has(inode)) found.set(inode, path);
  }
}

/** What was found before, which is looked at first: to go through every process takes milliseconds. */
let paths: ReadonlyMap<number, string> = new Map();

/** A path by which this one can be entered; undefined where it is gone. */
export function netnsPath(inode: number): string | undefined {
  const known = paths.get(inode);
  if (known !== undefined && inodeOf(known) === inode) return known;
  paths = networkNamespaces();
  return paths.get(inode);
}

export function ownNetns(): number {
  return inodeOf('/proc/self/ns/net') ?? 0;
}

/** `--netns`: a name under /run/netns, a path, a process id (`pid:1234`) or an inode number. */
export function findNetns(text: string): number | null {
  if (/^\d+$/.test(text)) return Number(text);
  const pid = text.match(/^pid:(\d+)$/)?.[1];
  return inodeOf(pid ? `/proc/${pid}/ns/net` : text.includes('/') ? text : `/run/netns/${text}`);
}

export function inodeOf(path: string): number | null {
  try {
    const link = path.startsWith('/proc/') ? readlinkSync(path).match(/\d+/)?.[0] : undefined;
    return link ? Number(link) : statSync(path).ino;
  } catch {
    return null;
  }
}

export function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
