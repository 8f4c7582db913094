// SPDX-License-Identifier: Apache-2.0

import type { Severity } from '../causes/define.ts';
import { notObservable } from '../causes/observable.ts';
import { CAUSES } from '../causes/registry.gen.ts';
import type { Finding } from '../diagnose/finding.ts';
import { namedBody } from '../diagnose/named.ts';
import type { Narrowed } from '../diagnose/narrowed.ts';
import { type EventListener, Pipeline } from '../diagnose/pipeline.ts';
import { BENIGN } from '../diagnose/unexplained.ts';
import { jsonSink } from '../sinks/json.ts';
import type { Sink, Start } from '../sinks/sink.ts';
import { textSink } from '../sinks/text.ts';
import { EVERY_CAUSE, TOLD_BY_COUNTERS, TOLD_BY_LOG } from '../texts/causes.ts';
import type { Header } from '../wire/types.gen.ts';
import type { PrintFlags } from './flags.ts';
import { atLeast } from './options.ts';
import { UsageError } from './usage.ts';

/** Nobody reads faster; less than TICK_MS, so that a tick that comes early shows what it brought. */
const SHOW_NS = 75e6;
/** Until a finding that has grown is told of again. */
const GROWTH_NS = 1e9;

/** What a run shows, and of which causes. */
export interface RunOptions {
  json: boolean;
  color: boolean;
  quiet: boolean;
  events: boolean;
  all: boolean;
  causes: ReadonlySet<string> | null;
  failOn: Severity;
}

export function runOptions({ cause, failOn, color, ...shown }: PrintFlags): RunOptions {
  const { json, quiet, events, all } = shown;
  return { json, quiet, events, all, color: colored(color), causes: causesCalled(cause), failOn };
}

/** Whether stdout takes colours, where none forbids them. */
export function colored(color: boolean): boolean {
  const { NO_COLOR, TERM } = process.env;
  return color && !NO_COLOR && TERM !== 'dumb' && (process.stdout.isTTY ?? false);
}

/** Of --cause; null: all. Throws UsageError. */
export function causesCalled(ids: readonly string[]): ReadonlySet<string> | null {
  for (const id of ids) {
    if (!CAUSES.some((cause) => cause.id === id))
      throw new UsageError(`--cause ${id}: no such cause; tcpwhy causes lists them`);
  }
  return ids.length > 0 ? new Set(ids) : null;
}

/** Bytes in, lines out: what trace, record and replay have in common. */
export class Run {
  readonly pipeline: Pipeline;
  readonly #header: Header;
  readonly #options: RunOptions;
  readonly #sink: Sink;
  /** When each finding was shown last. */
  readonly #shown = new Map<string, number>();
  #shown_ns = Number.NEGATIVE_INFINITY;
  /** Any finding was seen that is no benign or unexplained one. */
  found = false;

  constructor(
    header: Header,
    options: RunOptions,
    write: (text: string) => void,
    narrowed: Narrowed | null = null,
  ) {
    this.#header = header;
    this.#options = options;
    this.#sink = options.json ? jsonSink(write) : textSink(write, options);
    const onEvent: EventListener = (event, seq, time_ns) => {
      const { kind, cpu, netns, occurrences } = event;
      const body = namedBody(event, this.pipeline.known);
      this.#sink.event({ kind, cpu, netns, occurrences, body, seq, time_ns });
    };
    this.pipeline = new Pipeline(
      header,
      EVERY_CAUSE,
      options.events ? onEvent : null,
      null,
      narrowed,
    );
    this.#sink.start(startOf(header));
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.pipeline.push(chunk);
    const { lasted_ns } = this.pipeline;
    if (lasted_ns - this.#shown_ns < SHOW_NS) return;
    this.#shown_ns = lasted_ns;
    const isDue = (id: string) => lasted_ns - (this.#shown.get(id) ?? -Infinity) >= GROWTH_NS;
    this.#show(isDue);
  }

  /** The verdict; `tell` says what it is of. */
  finish(tell: (sink: Sink) => void = () => {}): void {
    this.pipeline.finish();
    this.#show();
    tell(this.#sink);
    for (const row of this.pipeline.losses.rows()) this.#sink.loss(row);
    const { pipeline } = this;
    const findings: Record<string, number> = {};
    for (const { finding } of pipeline.engine.findings.values()) {
      if (this.#wanted(finding) && !REST.has(finding.cause))
        findings[finding.cause] = (findings[finding.cause] ?? 0) + finding.count;
    }
    for (const [id, count] of Object.entries(findings)) if (count === 0) delete findings[id];
    this.#sink.summary({
      duration_s: Math.round(pipeline.lasted_ns / 1e8) / 10,
      events: pipeline.events,
      findings,
      unexplained: pipeline.engine.unexplained,
      benign: pipeline.engine.benign,
      lost: pipeline.losses.records,
      not_observable: untold(this.#header),
      counted: pipeline.counted as Record<string, number>,
    });
  }

  /** A finding at or above the floor was seen. */
  get failed(): boolean {
    return [...this.pipeline.engine.findings.values()].some(
      ({ finding }) =>
        finding.count > 0 &&
        this.#wanted(finding) &&
        atLeast(finding.severity, this.#options.failOn),
    );
  }

  #show(isDue?: (id: string) => boolean): void {
    for (const finding of this.pipeline.engine.takeChanged(isDue)) {
      if (!this.#wanted(finding) || (finding.count === 0 && !this.#shown.has(finding.id))) continue;
      if (finding.count === 0) this.#shown.delete(finding.id);
      else this.#shown.set(finding.id, this.#shown_ns);
      if (!REST.has(finding.cause)) this.found = true;
      this.#sink.finding(finding);
    }
  }

  #wanted(finding: Finding): boolean {
    if (finding.cause === BENIGN.id) return this.#options.all;
    return this.#options.causes === null || this.#options.causes.has(finding.cause);
  }
}

/** Of texts, and not of a kernel that was watched: the causes that they tell. */
const TOLD_BY: Readonly<Record<string, ReadonlySet<string>>> = {
  counters: TOLD_BY_COUNTERS,
  log: TOLD_BY_LOG,
};

export function tierOf({ tier }: Header): string {
  return ['hooks', 'packets'].includes(tier) || TOLD_BY[tier] ? tier : 'tracepoints';
}

/** How a run begins, as the sinks tell it. */
export function startOf(header: Header): Start {
  return {
    version: header.tcpwhy_version,
    host: header.host,
    kernel: header.kernel,
    tier: tierOf(header),
    hooks: Object.fromEntries(header.hooks.map(({ fact, hook }) => [fact, hook || null])),
    time_ns: header.start_ktime_ns + Number(header.clock_offset_ns),
    filters: header.filters,
  };
}

/** No causes of their own. */
const REST = new Set(['benign', 'unexplained']);

/** Causes that a run cannot tell of, by what it is told. */
export function untold(header: Header): string[] {
  const told = TOLD_BY[header.tier];
  const without = told ? CAUSES.filter(({ id }) => !told.has(id)) : notObservable(header, CAUSES);
  return without.map(({ id }) => id);
}

/**
 * How each cause can be seen where the kernel is watched: 1, 0.5 where a fact that it needs is shown by no best
 * way, 0 where by none.
 */
export function observableHere(header: Header): ReadonlyMap<string, number> {
  const unseen = new Set(untold(header));
  const lesser = new Set(
    header.hooks.filter(({ reason }) => reason !== '').map(({ fact }) => fact),
  );
  return new Map(
    CAUSES.filter(({ symptom }) => !symptom).map(({ id, needs }) => {
      if (unseen.has(id)) return [id, 0];
      return [id, needs.some((fact) => lesser.has(fact)) ? 0.5 : 1];
    }),
  );
}
