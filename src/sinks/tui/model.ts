// SPDX-License-Identifier: Apache-2.0

import type { Finding } from '../../diagnose/finding.ts';

/** What `tcpwhy top` shows, taken from the pipeline at most ten times a second. Plain data. */
export interface ScreenModel {
  host: string;
  kernel: string;
  /** `hooks` or `tracepoints`; of a capture `packets`. */
  tier: string;
  /** File name of a recording that is shown instead of the live kernel. */
  recording: string | null;
  /** What watching is limited to, as given by the user: `port 3306`. Absent: everything is watched. */
  target?: string | null;
  /** Time of the newest event or tick, wall clock in ns; 0 before the first. */
  now_ns: number;
  events: number;
  events_per_s: number;
  lost: number;
  unexplained: number;
  benign: number;
  /** Causes that this host cannot show, by id. */
  not_observable: string[];
  findings: FindingView[];
  /** Set when the source has ended: the screen stays, and says so. */
  ended: boolean;
  /** Why the recording that is being written cannot be, null while it can. Absent: nothing is recorded. */
  trouble?: string | null;
  /** How a recording is being played. Absent: nothing is. */
  playback?: Playback;
}

export interface FindingView {
  finding: Finding;
  /** Of several recordings, the one that it is in. */
  seen_in?: string;
  /** Shown only with `a` (benign, unexplained stays visible). */
  benign: boolean;
  rate_per_s: number;
  /** Occurrences a second for the last 30 seconds, oldest first. */
  history: number[];
  /** Flows of this finding, newest first, at most 50: the text of both ends, and how often. */
  flows: { text: string; count: number; last_ns: number }[];
  /** Newest events it rests on, oldest first: one line each, without control characters guaranteed. */
  events: { seq: number; time_ns: number; text: string }[];
}

/** What keys do to a recording that is shown. */
export type Control = 'pause' | 'slower' | 'faster' | 'back' | 'forward';

export interface Playback {
  /** 1: as fast as it was made. */
  speed: number;
  paused: boolean;
  /** How much of it was played, from 0 to 1. */
  played: number;
  /** Places so far that could not be read. */
  damages: number;
}

/** Where the screen gets its data. */
export interface ScreenSource {
  /**
   * How things stand now, in data that does not change afterwards: the same as before where nothing did. Called at any
   * interval, and not while paused.
   */
  read(): ScreenModel;
  /** Only where the model has a playback. */
  control?(control: Control): void;
}
