// SPDX-License-Identifier: Apache-2.0

import { statSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Netns } from '../../src/lab/netns.ts';
import { Service } from './service.ts';

/** A file that has not grown for so long has all that was captured. */
const SETTLED_MS = 200;

/** tcpdump in a network namespace, on all of its devices, to a file. */
export class Tcpdump {
  readonly file: string;
  readonly #service: Service;

  private constructor(file: string, service: Service) {
    this.file = file;
    this.#service = service;
  }

  /** Comes back when it captures: of each packet enough to explain it, unless `args` say otherwise. */
  static async start(netns: Netns, file: string, args = ['-s', '200']): Promise<Tcpdump> {
    // A change of user would forget the signal that ends it with us.
    const always = ['-i', 'any', '-n', '-U', '--immediate-mode', '-Z', 'root', '-w', file];
    const service = new Service(netns, ['tcpdump', ...always, ...args]);
    await service.until(() => service.said.includes('listening on'), 'tcpdump to listen');
    return new Tcpdump(file, service);
  }

  /** Once the file does not grow any more. Throws where there was no room for packets. */
  async stop(): Promise<void> {
    for (let before = -1; before !== this.#size; await pause(SETTLED_MS)) before = this.#size;
    await this.#service.stop('SIGINT');
    if ((await this.over()) > 0)
      throw new Error(`tcpdump did not capture everything: ${this.#service.said}`);
  }

  /** Once it has ended, by itself with `-c` or `-G`: packets that there was no room for. */
  async over(): Promise<number> {
    await this.#service.over();
    const [, dropped] = this.#service.said.match(/^(\d+) packets? dropped by kernel$/m) ?? [];
    if (dropped === undefined) throw new Error(`tcpdump failed: ${this.#service.said}`);
    return Number(dropped);
  }

  get #size(): number {
    return statSync(this.file).size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service.stop('SIGINT');
  }
}
