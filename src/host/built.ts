// SPDX-License-Identifier: Apache-2.0

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What make built: beside the bundle; from the sources, in build/. It may not be there. */
export function builtFile(name: string): string {
  const [beside = '', built = ''] = [`./${name}`, `../../build/${name}`].map((place) =>
    fileURLToPath(new URL(place, import.meta.url)),
  );
  return !existsSync(beside) && existsSync(built) ? built : beside;
}
