// SPDX-License-Identifier: Apache-2.0

import { closeSync, openSync } from 'node:fs';
import { loadAddon } from './binding.ts';

interface Addon {
  lockFile(fd: number): boolean;
}

/**
 * Makes the file if need be, and takes it for this process, until it ends; false where another one has it. Throws
 * the file system's errors.
 */
export function lockFile(path: string): boolean {
  const fd = openSync(path, 'a', 0o600);
  if (loadAddon<Addon>().lockFile(fd)) return true;
  closeSync(fd);
  return false;
}
