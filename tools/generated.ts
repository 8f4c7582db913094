// SPDX-License-Identifier: Apache-2.0

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const repository = join(import.meta.dirname, '..');

/** A file of the repository, by its path in it. */
export function read(path: string): string {
  return readFileSync(join(repository, path), 'utf8');
}

/** Below the folder that the generator was given, the repository itself by default. */
export function write(path: string, text: string): void {
  const file = join(process.argv[2] ?? repository, path);
  mkdirSync(dirname(file), { recursive: true });
  // What depends on it is not built again where nothing changed.
  if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text);
}

/** What a default import of `a-file` is called: `aFile`. */
export function variable(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
