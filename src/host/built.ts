// SPDX-License-Identifier: Apache-2.0

import { existsSync, readlinkSync } from 'node:fs';
import { isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';

/**
 * What make built: in the one file; beside the bundle; from the sources, in build/. It may not be there. Other
 * processes may read it by this path while this one runs.
 */
export function builtFile(name: string): string {
  if (isSea()) return inTheOneFile(name);
  const [beside = '', built = ''] = [`./${name}`, `../../build/${name}`].map((place) =>
    fileURLToPath(new URL(place, import.meta.url)),
  );
  return !existsSync(beside) && existsSync(built) ? built : beside;
}

/** What runs this program once more. */
export function itself(): string {
  return isSea() ? process.execPath : builtFile('tcpwhy');
}

/** In memory, where tools/dist/start.c put it and nobody writes. */
function inTheOneFile(name: string): string {
  const files = (process.env.TCPWHY_FILES ?? '').split(' ').map((file) => file.split(':'));
  const fd = files.find(([called]) => called === name)?.[1];
  if (fd === undefined) return `${name}, for which this system gave no memory (memfd_create)`;
  // By the number that /proc has for it: this process may be in a PID namespace, and /proc the host's.
  return existsSync('/proc/self')
    ? `/proc/${readlinkSync('/proc/self')}/fd/${fd}`
    : `/proc/self/fd/${fd}`;
}
