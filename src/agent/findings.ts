// SPDX-License-Identifier: Apache-2.0

import { CAUSES } from '../causes/registry.gen.ts';
import type { Finding } from '../diagnose/finding.ts';
import { Pipeline } from '../diagnose/pipeline.ts';
import { BENIGN } from '../diagnose/unexplained.ts';
import { connectionKeys } from '../report/connection.ts';
import { Handshakes } from '../report/handshakes.ts';
import type { Header } from '../wire/types.gen.ts';
import { logRecordOf, type Origin } from './log-record.ts';
import type { LogRecord } from './otlp.ts';
import type { Resources } from './resource.ts';

/** Times of this century are exact to less than that. */
const STEP_NS = 1000;
/** More than as many steps as there are intervals in a file. */
const SET_BACK_NS = 1e9;
const MOST_HANDSHAKES = 5000;

/** The findings of one file of a recording, while it is made or when it is read: the same bytes give the same. */
export class FileFindings {
  readonly pipeline: Pipeline;
  readonly origin: Origin;
  readonly #resources: Resources;
  readonly #handshakes = new Handshakes(MOST_HANDSHAKES);
  /** By id as they were told last: where a count is taken back, that is told too. */
  readonly #told = new Map<string, { time_ns: number; count: number }>();

  constructor(header: Header, resources: Resources) {
    this.pipeline = new Pipeline(header, CAUSES);
    this.origin = { run: header.run, part: header.part };
    this.#resources = resources;
    this.pipeline.onExplained = (event) => this.#handshakes.learn(event, this.pipeline.known);
  }

  /** Those of the file that goes on from this one: what was lost is counted on. */
  next(header: Header): FileFindings {
    const next = new FileFindings(header, this.#resources);
    for (const { name, count } of this.pipeline.losses.rows())
      next.pipeline.losses.add(name, count);
    return next;
  }

  /** What has grown since the last call, each once. */
  take(now_ns: number): LogRecord[] {
    const changed = this.#changed();
    if (changed.length === 0) return [];
    const numbers = this.#handshakes.firstNumbers();
    const all = this.pipeline.engine.findings;
    return changed.map((finding) => {
      const open = all.get(finding.id);
      const beside = {
        sides: open?.sides ?? null,
        keys: open ? connectionKeys(open, numbers) : [],
        time_ns: this.#tell(finding, finding.last_ns),
      };
      return logRecordOf(finding, beside, this.origin, this.#resources, now_ns);
    });
  }

  /**
   * What has grown since the last call was told before: no later than now, or, where the clock was set back
   * meanwhile, shortly after the latest that it was.
   */
  skip(latest_ns: number): void {
    const { now_ns } = this.pipeline;
    const until_ns = latest_ns > now_ns ? latest_ns + SET_BACK_NS : now_ns;
    for (const finding of this.#changed()) this.#tell(finding, until_ns);
  }

  /** When it was seen last; where nothing of it is newer than what was told, the time by now. */
  #tell({ id, count }: Finding, seen_ns: number): number {
    const told = this.#told.get(id);
    const isNewer = !told || seen_ns > told.time_ns;
    const time_ns = isNewer ? seen_ns : Math.max(this.pipeline.now_ns, told.time_ns + STEP_NS);
    // What another one has taken in does not come again.
    if (count === 0 && !this.pipeline.engine.findings.has(id)) this.#told.delete(id);
    else this.#told.set(id, { time_ns, count });
    return time_ns;
  }

  #changed(): Finding[] {
    return this.pipeline.engine
      .takeChanged()
      .filter(
        ({ id, cause, count }) =>
          cause !== BENIGN.id && (count > 0 || (this.#told.get(id)?.count ?? 0) > 0),
      );
  }
}
