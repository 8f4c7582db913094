// SPDX-License-Identifier: Apache-2.0

import { CAUSES } from '../causes/registry.gen.ts';
import { Pipeline } from '../diagnose/pipeline.ts';
import { BENIGN } from '../diagnose/unexplained.ts';
import type { Header } from '../wire/types.gen.ts';
import { logRecordOf, type Origin } from './log-record.ts';
import type { LogRecord } from './otlp.ts';
import type { Resources } from './resource.ts';

/** The findings of one file of a recording, while it is made or when it is read: the same bytes give the same. */
export class FileFindings {
  readonly pipeline: Pipeline;
  readonly origin: Origin;
  readonly #resources: Resources;
  /** Those that were told with a count: where that is taken back, that is told too. */
  readonly #told = new Set<string>();

  constructor(header: Header, resources: Resources) {
    this.pipeline = new Pipeline(header, CAUSES);
    this.origin = { run: header.run, part: header.part };
    this.#resources = resources;
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
    const all = this.pipeline.engine.findings;
    return changed.map((finding) => {
      const open = all.get(finding.id);
      const beside = { sides: open?.sides ?? null, flows: [...(open?.flows.values() ?? [])] };
      return logRecordOf(finding, beside, this.origin, this.#resources, now_ns);
    });
  }

  /** What has grown since the last call was told before. */
  skip(): void {
    this.#changed();
  }

  #changed() {
    return this.pipeline.engine.takeChanged().filter(({ id, cause, count }) => {
      if (cause === BENIGN.id || (count === 0 && !this.#told.has(id))) return false;
      if (count === 0) this.#told.delete(id);
      else this.#told.add(id);
      return true;
    });
  }
}
