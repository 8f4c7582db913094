// SPDX-License-Identifier: Apache-2.0

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A program that says on stderr what it does. */
export class Program {
  stderr = '';
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #waiting = new Set<() => void>();

  constructor(command: string, args: string[], env: NodeJS.ProcessEnv = {}) {
    this.#child = spawn(command, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#exited = once(this.#child, 'close');
    this.#child.stderr?.on('data', (text) => {
      this.stderr += text;
      for (const hear of this.#waiting) hear();
      this.#waiting.clear();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Comes back when it has said that, and fails where it ends before. */
  async says(what: RegExp): Promise<void> {
    const ended = this.#exited.then(() => true);
    while (!what.test(this.stderr)) {
      const heard = new Promise<boolean>((resolve) => this.#waiting.add(() => resolve(false)));
      if ((await Promise.race([heard, ended])) && !what.test(this.stderr))
        throw new Error(`it ended and did not say ${what}: ${this.stderr}`);
    }
  }

  async stop(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return this.ended();
  }

  /** Its exit status, once it has ended by itself. */
  async ended(): Promise<number | null> {
    await this.#exited;
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await this.stop('SIGKILL');
  }
}
