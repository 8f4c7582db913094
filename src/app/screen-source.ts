// SPDX-License-Identifier: Apache-2.0

import { Growth } from '../diagnose/growth.ts';
import type { Pipeline } from '../diagnose/pipeline.ts';
import { BENIGN } from '../diagnose/unexplained.ts';
import type { FindingView, ScreenModel, ScreenSource } from '../sinks/tui/model.ts';
import type { Header } from '../wire/types.gen.ts';
import { tierOf, untold } from './run.ts';

/** The pipeline as the live screen reads it. */
export class PipelineScreen implements ScreenSource {
  ended = false;
  /** Why the recording that is being written cannot be. */
  trouble: string | null = null;
  readonly #pipeline: Pipeline;
  readonly #header: Header;
  readonly #recording: string | null;
  readonly #causes: ReadonlySet<string> | null;
  readonly #events = new Growth();
  readonly #findings = new Map<string, Growth>();
  #model: ScreenModel | null = null;

  constructor(
    pipeline: Pipeline,
    header: Header,
    recording: string | null,
    causes: ReadonlySet<string> | null,
  ) {
    this.#pipeline = pipeline;
    this.#header = header;
    this.#recording = recording;
    this.#causes = causes;
  }

  /** To be called whenever something changed. */
  note(): void {
    this.#model = null;
    const { engine, events, lasted_ns } = this.#pipeline;
    this.#events.note(events, lasted_ns);
    for (const { id, count } of engine.takeChanged()) {
      if (count === 0) {
        this.#findings.delete(id);
        continue;
      }
      const growth = this.#findings.get(id) ?? new Growth();
      this.#findings.set(id, growth);
      growth.note(count, lasted_ns);
    }
  }

  read(): ScreenModel {
    this.#model ??= this.#changed();
    return this.#model;
  }

  #changed(): ScreenModel {
    const { engine, events, now_ns, lasted_ns, losses } = this.#pipeline;
    const { host, kernel, filters } = this.#header;
    return {
      host,
      kernel,
      tier: tierOf(this.#header),
      recording: this.#recording,
      target: filters.length > 0 ? filters.join(', ') : null,
      now_ns,
      events,
      events_per_s: this.#events.rate(lasted_ns),
      lost: losses.records,
      unexplained: engine.unexplained,
      benign: engine.benign,
      not_observable: untold(this.#header),
      findings: this.#views(),
      ended: this.ended,
      trouble: this.trouble,
    };
  }

  #views(): FindingView[] {
    const { engine, lasted_ns } = this.#pipeline;
    return [...engine.findings.values()]
      .filter(({ finding }) => finding.count > 0 && (this.#causes?.has(finding.cause) ?? true))
      .map(({ finding, flows, events }) => {
        const growth = this.#findings.get(finding.id);
        return {
          finding: { ...finding },
          benign: finding.cause === BENIGN.id,
          rate_per_s: growth?.rate(lasted_ns) ?? 0,
          history: growth?.perSecond(lasted_ns) ?? [],
          flows: [...flows.values()].reverse(),
          events: [...events],
        };
      });
  }
}
