// SPDX-License-Identifier: Apache-2.0

import { setTimeout as pause } from 'node:timers/promises';
import { SETTLE_MS } from '../../src/lab/conformance.ts';
import { Lab } from '../../src/lab/lab.ts';
import { type Finding, type Output, Running } from './tcpwhy.ts';

/** Longer than all that happens in the labs of one file. */
const LONGEST = '30m';

/**
 * One tcpwhy for the failures of several tests, each in a lab of its own. A new namespace may have
 * the inode number of one that is gone: so all labs stay until the end, and what was before a lab is
 * not told of it.
 */
export class Watched {
  readonly #tcpwhy: Running;
  /** With the wall clock in milliseconds when each was there. */
  readonly #labs = new Map<Lab, number>();

  private constructor(tcpwhy: Running) {
    this.#tcpwhy = tcpwhy;
  }

  static async start(): Promise<Watched> {
    return new Watched(await Running.start(['trace', '--for', LONGEST]));
  }

  lab(): Lab {
    const lab = Lab.open();
    this.#labs.set(lab, Date.now());
    return lab;
  }

  /** What is said of a lab, once this cause was told so often and nothing can be held back. */
  async findings(lab: Lab, cause: string, times: number): Promise<Finding[]> {
    const count = () =>
      this.told(lab)
        .filter((finding) => finding.cause === cause)
        .reduce((sum, finding) => sum + finding.count, 0);
    await this.#tcpwhy.until(() => count() >= times, 5000);
    await pause(SETTLE_MS);
    return this.told(lab);
  }

  /** What was said of a lab until now. */
  told(lab: Lab): Finding[] {
    const since = this.#labs.get(lab) ?? Number.NaN;
    return this.#tcpwhy.output.findings.filter(
      ({ flow, first }) => lab.netnsInodes.includes(flow.netns) && Date.parse(first) >= since,
    );
  }

  /** As Ctrl-C does. Comes back with everything that was printed. */
  stop(): Promise<Output> {
    return this.#tcpwhy.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const lab of this.#labs.keys()) lab.close();
    await this.#tcpwhy[Symbol.asyncDispose]();
  }
}
