// SPDX-License-Identifier: Apache-2.0

import { execFile } from 'node:child_process';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');
export const VM = join(ROOT, 'tools/vm');
const NOT_SERVED = 3;

interface Ran {
  status: unknown;
  printed: string;
  said: string;
}

/** Ends with us. */
export function run(program: string, ...args: string[]): Promise<Ran> {
  const command = ['--pdeathsig', 'TERM', join(VM, program), ...args];
  return new Promise((resolve) => {
    execFile('setpriv', command, { cwd: ROOT, maxBuffer: 64 << 20 }, (error, printed, said) =>
      resolve({ status: error ? error.code : 0, printed, said }),
    );
  });
}

/** Why a kernel cannot be had, or null. */
export function whyNot({ status, said }: Ran): string | null {
  if (status === 0) return null;
  if (status === NOT_SERVED) return 'not served by the archive';
  return `could not be had: ${said.trim().split('\n').at(-1)}`;
}
