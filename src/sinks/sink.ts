// SPDX-License-Identifier: Apache-2.0

import type { Finding } from '../diagnose/finding.ts';

/** How a run began. Names of docs/json.md. */
export interface Start {
  version: string;
  host: string;
  kernel: string;
  tier: string;
  hooks: Record<string, string | null>;
  time_ns: number;
  filters: string[];
}

/** What a capture is. */
export interface CaptureRow {
  file: string;
  packets: number;
  /** Of TCP, that could be read. */
  segments: number;
  /** Addresses of the host that it was taken at; empty: that is not known. */
  taken_at: string[];
  /** What tells that: `direction`, `ttl` or `timing`. */
  by: string | null;
}

/** What several captures saw of the same connections. */
export interface JoinedRow {
  /** In each of them, the weightiest first. */
  findings: (Pick<Finding, 'id' | 'cause' | 'severity' | 'count' | 'summary'> & { file: string })[];
  /** Ends that a translation on the way calls otherwise. */
  translated: { file: string; here: string; there: string; at: string[] }[];
}

/** What two texts of counters are. */
export interface CountersRow {
  /** Their files. */
  before: string;
  after: string;
  /** `says`: what it is that moved, where it is no failure by itself; null: another finding says it, or nobody. */
  moved: { counter: string; before: number; after: number; says: string | null }[];
  /** That are in one of them only, and not zero. */
  uncompared: number;
}

/** What a kernel's log is. */
export interface LogRow {
  file: string;
  lines: number;
  /** Lines that say why TCP failed. */
  told: number;
}

export interface LossRow {
  name: string;
  severity: string;
  count: number;
  meaning: string;
}

/** How a run ended. */
export interface Summary {
  duration_s: number;
  events: number;
  findings: Record<string, number>;
  unexplained: number;
  benign: number;
  lost: number;
  not_observable: string[];
  /** Exact occurrences by kind of event, records or not. */
  counted: Record<string, number>;
}

export interface EventLine {
  seq: number;
  time_ns: number;
  kind: string;
  cpu: number;
  netns: number;
  /** How many the record stands for: itself, and those that were counted only. */
  occurrences: number;
  /** As decoded, with the kernel's names beside its numbers. */
  body: object;
}

/** What is written as a run goes on. Each call writes at once. */
export interface Sink {
  start(start: Start): void;
  event(event: EventLine): void;
  /** The same finding comes again with a higher count. */
  finding(finding: Finding): void;
  capture(row: CaptureRow): void;
  counters(row: CountersRow): void;
  log(row: LogRow): void;
  joined(row: JoinedRow): void;
  loss(row: LossRow): void;
  summary(summary: Summary): void;
}
