// SPDX-License-Identifier: Apache-2.0

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { missingCommands, type Netns } from '../../src/lab/netns.ts';

const PATIENCE_MS = 10_000;
const END_MS = 5000;

/** The first of these programs that is not installed, as the word of a skipped test, or null. */
export function lacking(...commands: string[]): string | null {
  const [missing] = missingCommands(commands);
  return missing === undefined ? null : `${missing} is not installed`;
}

/** A program that runs in a network namespace, and ends with us. */
export class Service {
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown>;
  #said = '';

  constructor(netns: Netns, command: string[], env: Record<string, string> = {}) {
    const args = ['netns', 'exec', netns.name, 'setpriv', '--pdeathsig', 'TERM', ...command];
    this.#child = spawn('ip', args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#exit = once(this.#child, 'close');
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (text) => {
        this.#said += text;
      });
    }
  }

  /** Starts it, and comes back when it listens there. */
  static async listening(
    netns: Netns,
    port: number,
    command: string[],
    env: Record<string, string> = {},
  ): Promise<Service> {
    const service = new Service(netns, command, env);
    await service.until(
      () => netns.exec('ss', ['-ltnH', `sport = :${port}`]) !== '',
      `${command[0]} to listen`,
    );
    return service;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it printed so far. */
  get said(): string {
    return this.#said;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async until(isSo: () => boolean, what: string): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!isSo()) {
      if (this.ended) throw new Error(`it ended: ${this.#said}`);
      if (performance.now() > deadline)
        throw new Error(`waited ${PATIENCE_MS} ms for ${what}: ${this.#said}`);
      await pause(20);
    }
  }

  /** Its exit status. */
  async over(): Promise<number | null> {
    await this.#exit;
    return this.#child.exitCode;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.ended) return;
    this.#child.kill(signal);
    const late = setTimeout(() => this.#child.kill('SIGKILL'), END_MS);
    await this.#exit;
    clearTimeout(late);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
