// SPDX-License-Identifier: Apache-2.0

import { setTimeout as pause } from 'node:timers/promises';
import { CAUSES } from '../causes/registry.gen.ts';
import type { Finding } from '../diagnose/finding.ts';
import { Pipeline } from '../diagnose/pipeline.ts';
import { BENIGN } from '../diagnose/unexplained.ts';
import type { LiveSource } from '../source/live.ts';

const TICK_MS = 50;

/** tcpwhy at work in the process that makes the failures. */
export class Watching {
  readonly pipeline: Pipeline;
  /** Facts that no hook of this kernel shows. */
  readonly unseen: ReadonlySet<string>;
  readonly tier: string;
  readonly #source: LiveSource;

  constructor(source: LiveSource) {
    this.#source = source;
    this.tier = source.header.tier;
    this.pipeline = new Pipeline(source.header, CAUSES);
    this.pipeline.push(source.begin());
    this.unseen = new Set(
      source.header.hooks.filter(({ hook }) => hook === '').map(({ fact }) => fact),
    );
  }

  /** Takes what comes until `isSo` has been so for `settle_ms`, or `limit_ms` are over. */
  async settle(isSo: () => boolean, limit_ms: number, settle_ms: number): Promise<void> {
    const end = performance.now() + limit_ms;
    let so_at = Number.POSITIVE_INFINITY;
    while (performance.now() < Math.min(end, so_at + settle_ms)) {
      await pause(TICK_MS);
      this.look();
      if (isSo()) so_at = Math.min(so_at, performance.now());
    }
    // What came while the process was busy with something else.
    this.look();
  }

  /** Takes what came until now. */
  look(): void {
    this.pipeline.push(this.#source.tick());
  }

  /** How often each finding was seen so far. */
  get counts(): ReadonlyMap<string, number> {
    return new Map(
      [...this.pipeline.engine.findings].map(([id, { finding }]) => [id, finding.count]),
    );
  }

  /**
   * Findings of these namespaces with what was added to their counts, but for benign ones. A new
   * namespace may have the inode number of one that is gone.
   */
  findings(netns: readonly number[], since: ReadonlyMap<string, number>): Finding[] {
    return [...this.pipeline.engine.findings.values()]
      .map(({ finding }) => ({ ...finding, count: finding.count - (since.get(finding.id) ?? 0) }))
      .filter(({ cause, count, flow }) => {
        return cause !== BENIGN.id && count > 0 && netns.includes(flow.netns);
      });
  }
}
