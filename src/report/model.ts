// SPDX-License-Identifier: Apache-2.0

import type { Severity } from '../causes/define.ts';
import type { Finding } from '../diagnose/finding.ts';

/** A post-mortem of one or more recordings, on one clock. Plain data; names in it are as the hosts gave them. */
export interface Report {
  /** Version of tcpwhy that wrote it. */
  version: string;
  anonymized: boolean;
  /** Where it is made of what agents told an engine; null: of recordings, and `hosts` has what is known of each. */
  told: ToldReport | null;
  /** Wall clock of the first host, in nanoseconds, like all times in it. */
  start_ns: number;
  end_ns: number;
  hosts: HostReport[];
  /** The most severe first, then the most frequent. */
  causes: CauseRow[];
  timeline: Timeline;
  /** Those shown in full. */
  findings: FindingReport[];
  /** A row each for those that are not. */
  rest: FindingRow[];
  /** Findings that are not even in `rest`. */
  omitted: number;
  talkers: EndRow[];
  services: EndRow[];
}

export interface ToldReport {
  /** Where that was asked, and from which time on. */
  from: string;
  since_ns: number;
  /** There are lighter findings that were not read. */
  incomplete: boolean;
  hosts: ToldHost[];
}

export interface ToldHost {
  /** Unique in the report. */
  name: string;
  /** Of tcpwhy. */
  version: string;
  findings: number;
  count: number;
}

export interface HostReport {
  /** Unique in the report. */
  name: string;
  files: string[];
  kernel: string;
  tier: string;
  version: string;
  filters: string[];
  netns: number;
  start_ns: number;
  end_ns: number;
  /** How the recording ended: time, interrupted, first; null where it was cut off. */
  ended: string | null;
  events: number;
  unexplained: number;
  benign: number;
  losses: LossReport[];
  not_observable: { id: string; title: string }[];
  hooks: { fact: string; hook: string; reason: string }[];
  sysctls: { name: string; value: string }[];
  counters: CounterRow[];
  clock: ClockNote;
}

export interface LossReport {
  name: string;
  severity: string;
  count: number;
  meaning: string;
}

export interface CounterRow {
  /** `TcpExt.ListenDrops` */
  name: string;
  start: number;
  /** Null where the recording was cut off. */
  end: number | null;
  /** Looked at first; shown also where it did not move. */
  leading: boolean;
}

/** What was added to a host's times, and how well it is known. */
export interface ClockNote {
  /** `own`: the others follow it. `both`: segments went both ways. `one-way`: the other bound is missing. `none`: no segment was seen at both. */
  basis: 'own' | 'both' | 'one-way' | 'none';
  correction_ns: number;
  /** Half the width of what is possible; null where it is not bounded. */
  uncertainty_ns: number | null;
  /** Segments that were seen at both ends. */
  segments: number;
  /** Whose clock it was compared with, `null` for the first. */
  with: string | null;
}

export interface CauseRow {
  id: string;
  title: string;
  severity: Severity;
  count: number;
  findings: number;
  hosts: string[];
}

export interface Timeline {
  start_ns: number;
  width_ns: number;
  /** In the order of CauseRow; each as long as the others. */
  lanes: { cause: string; counts: number[] }[];
}

export interface FindingRow {
  /** Its number in the report, from 1. */
  number: number;
  host: string;
  finding: Finding;
}

export interface FindingReport extends FindingRow {
  /** Newest first, of at most fifty. */
  flows: { text: string; count: number }[];
  /** Null where nothing was recorded of the connection it was seen on last. */
  ladder: Ladder | null;
  /** Numbers of findings about the same connections, as other hosts saw them. */
  elsewhere: number[];
  /** Ends that other hosts know by another address or port. */
  translated: { here: string; there: string; hosts: string[] }[];
}

export interface EndRow {
  text: string;
  count: number;
  /** By cause, the most frequent first. */
  causes: { id: string; count: number }[];
}

/** What went between the ends of one connection, and of those that have to do with it. */
export interface Ladder {
  ends: LadderEnd[];
  rungs: Rung[];
  /** Rungs left out, between the first and the last ones. */
  skipped: { after: number; count: number } | null;
}

export interface LadderEnd {
  /** addr:port */
  text: string;
  /** The host whose recording shows it from inside. */
  host: string | null;
  process: string | null;
}

/** `dropped`: it went no further. `reset`: it brought about a reset, or was one that was believed. */
export type Mark = 'dropped' | 'reset';

export interface Verdict {
  host: string;
  text: string;
  mark: Mark | null;
  /** At which side of the arrow it was passed. */
  at: 'sent' | 'received';
}

export interface SegmentRung {
  kind: 'segment';
  /** Null: earlier than what was recorded. */
  time_ns: number | null;
  from: number;
  to: number;
  /** `SA`; null where they are not known. */
  flags: string | null;
  seq: number | null;
  ack: number | null;
  len: number | null;
  /** What it carries, where the headers are not known. */
  what: string | null;
  /** Hosts that saw it leave, and that saw it arrive. */
  sent_by: string[];
  received_by: string[];
  /** Its headers were seen; otherwise they follow from what the kernel did. */
  seen: boolean;
  verdicts: Verdict[];
}

export interface NoteRung {
  kind: 'note';
  time_ns: number | null;
  at: number;
  host: string;
  text: string;
}

export type Rung = SegmentRung | NoteRung;
