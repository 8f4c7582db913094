// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { until } from '../../src/lab/until.ts';

/** A process that stands still until it is told to go on. */
export class Stopped {
  readonly #pid: number;

  constructor(pid: number) {
    // Not more than one of them: 0 would be our own process group.
    if (!(pid > 0)) throw new Error(`no process ${pid}`);
    this.#pid = pid;
    process.kill(pid, 'SIGSTOP');
    until('the process to stand still', () => /^State:\tT/m.test(status(pid)));
  }

  goOn(): void {
    process.kill(this.#pid, 'SIGCONT');
  }

  [Symbol.dispose](): void {
    this.goOn();
  }
}

function status(pid: number): string {
  return readFileSync(`/proc/${pid}/status`, 'utf8');
}

/** The first child with such a command line, once it is there. */
export function childOf(pid: number, command: RegExp): number {
  let found: number | undefined;
  until(`a child ${command}`, () => {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').match(/\d+/g) ?? [];
    found = children
      .map(Number)
      .find((child) => command.test(readFileSync(`/proc/${child}/cmdline`, 'utf8')));
    return found !== undefined;
  });
  return found ?? 0;
}
