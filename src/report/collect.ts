// SPDX-License-Identifier: Apache-2.0

import type { Cause } from '../causes/define.ts';
import type { Finding } from '../diagnose/finding.ts';
import type { Narrowed } from '../diagnose/narrowed.ts';
import type { OpenFinding } from '../diagnose/open-finding.ts';
import { Pipeline } from '../diagnose/pipeline.ts';
import { servedAtSource, service } from '../tcp/service.ts';
import type { Event } from '../wire/event.ts';
import type { Flow, Footer, Header } from '../wire/types.gen.ts';
import { Buckets } from './buckets.ts';
import { Segments } from './segments.ts';
import { SteadyClock } from './steady.ts';
import { stepsOf } from './steps.ts';
import { TopCounts } from './top-counts.ts';

/** Which findings a report is about. */
export type Wanted = (finding: Pick<Finding, 'cause'>) => boolean;

/**
 * All that is kept of one host while its recordings are read: bounded, however long they are. Times are of
 * its steady clock.
 */
export class HostCollection {
  readonly files: { name: string; header: Header }[] = [];
  readonly findings = new Map<string, OpenFinding>();
  readonly buckets: Buckets[] = [];
  readonly talkers = new TopCounts();
  readonly services = new TopCounts();
  readonly segments = new Segments();
  readonly clock = new SteadyClock();
  readonly losses = new Map<string, { severity: string; count: number; meaning: string }>();
  footer: Footer | null = null;
  start_ns = Number.POSITIVE_INFINITY;
  end_ns = 0;
  events = 0;
  unexplained = 0;
  benign = 0;
  readonly #wanted: Wanted;

  constructor(wanted: Wanted) {
    this.#wanted = wanted;
  }

  /** A pipeline for one more file. Its bytes go through it, then `finish`. */
  open(
    name: string,
    shown: Header,
    causes: readonly Cause[],
    change: ((event: Event) => Event) | null,
    narrowed: Narrowed | null = null,
  ): Pipeline {
    const header = this.clock.header(shown);
    this.files.push({ name, header });
    const pipeline = new Pipeline(
      header,
      causes,
      (event, _, time_ns) => {
        for (const step of stepsOf(event, pipeline.known))
          this.segments.add(step, time_ns, shown.tier === 'packets');
      },
      (event) => this.clock.event(change?.(event) ?? event),
      narrowed,
    );
    const buckets = new Buckets(pipeline.first_ns);
    this.buckets.push(buckets);
    pipeline.engine.onCount = (finding, flow, count, time_ns) => {
      if (!this.#wanted(finding)) return;
      buckets.add(finding.cause, time_ns, count);
      if (!flow) return;
      const { client, service } = sides(flow);
      this.talkers.add(client, finding.cause, count);
      this.services.add(service, finding.cause, count);
    };
    return pipeline;
  }

  /** No more bytes of that file. */
  finish(pipeline: Pipeline): void {
    pipeline.finish();
    this.start_ns = Math.min(this.start_ns, pipeline.first_ns);
    this.end_ns = Math.max(this.end_ns, pipeline.now_ns);
    this.events += pipeline.events;
    this.unexplained += pipeline.engine.unexplained;
    this.benign += pipeline.engine.benign;
    this.footer = pipeline.footer;
    for (const { name, ...row } of pipeline.losses.rows()) {
      const before = this.losses.get(name)?.count ?? 0;
      this.losses.set(name, { ...row, count: row.count + before });
    }
    for (const open of pipeline.engine.findings.values()) {
      if (open.finding.count > 0 && this.#wanted(open.finding)) this.#keep(open);
    }
  }

  /** The same finding of a file before grows; what is told of it is the newest. */
  #keep(open: OpenFinding): void {
    const before = this.findings.get(open.finding.id)?.finding;
    const { finding } = open;
    if (before) {
      finding.count += before.count;
      finding.first_ns = Math.min(finding.first_ns, before.first_ns);
      finding.process ??= before.process;
    }
    this.findings.set(finding.id, open);
  }
}

/** Of a client the port changes, so it is left out. */
function sides(flow: Flow): { client: string; service: string } {
  return { client: servedAtSource(flow) ? flow.daddr : flow.saddr, service: service(flow) };
}
