// SPDX-License-Identifier: Apache-2.0

import { constants } from 'node:os';

/** As of a program that SIGPIPE ends. */
export const NO_READER = 128 + constants.signals.SIGPIPE;
let lost = false;
let goesOn: string | null = null;

/** Text for stdout, as long as it takes any. */
export function write(text: string): void {
  if (!lost) process.stdout.write(text);
}

/** From here on the command does not end because nobody reads stdout; it says so, and that `what` goes on. */
export function outliveStdout(what: string): void {
  goesOn = what;
}

/**
 * Whoever reads stdout may go: then there is nobody to tell, and the command ends; a screen is left, if
 * there is one. Nothing depends on stderr.
 */
export function mindReaders(): void {
  process.stderr.on('error', () => {});
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (lost) return;
    lost = true;
    if (process.stdout.listenerCount('error') > 1) return;
    const unread = code === 'EPIPE' || code === 'EIO';
    const what = unread ? 'nobody reads stdout any more' : `cannot write to stdout: ${message}`;
    if (goesOn !== null) process.stderr.write(`tcpwhy: ${what}: ${goesOn} goes on\n`);
    else if (unread) process.exit(NO_READER);
    else {
      process.stderr.write(`tcpwhy: ${what}\n`);
      process.exit(2);
    }
  });
}
