// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const repository = join(import.meta.dirname, '../..');

/** The built program, as users run it. */
export const TCPWHY = process.env.TCPWHY_TESTED ?? join(repository, 'build/tcpwhy');
export const RECORDINGS = join(repository, 'test/recordings');

export function tcpwhy(...args: string[]) {
  return tcpwhyOf('', ...args);
}

/** The same with that on its stdin. */
export function tcpwhyOf(input: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(TCPWHY, args, {
    encoding: 'utf8',
    timeout: 30_000,
    input,
  });
  return { status, stdout, stderr };
}
