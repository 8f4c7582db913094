// SPDX-License-Identifier: Apache-2.0

import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { Stream } from '../record/stream.ts';
import type { Control, ScreenModel, ScreenSource } from '../sinks/tui/model.ts';
import { EVERYTHING, type Filter } from '../source/filter.ts';
import { type Beside, playedTogether, shownTogether, Track } from './together.ts';

/** Pauses in a recording are at most this long when it is shown. */
const LONGEST_PAUSE_MS = 2000;
const SEEK_NS = 10e9;
const SLOWEST = 1 / 4;
const FASTEST = 64;
/** While it is wound forward, or comes late, the screen is drawn and keys are heard at least this often. */
const LONGEST_BUSY_MS = 50;

/** Recordings on the screen, at the speed at which they were made unless keys say otherwise. */
export class Player implements ScreenSource {
  readonly #open: () => Promise<readonly Stream[]>;
  readonly #causes: ReadonlySet<string> | null;
  readonly #filter: Filter;
  readonly #beside: readonly Beside[];
  #tracks: readonly Track[];
  #speed = 1;
  #paused = false;
  #now_ns = 0;
  /** Up to here it is wound forward. */
  #seek_ns = 0;
  #rewind = false;
  /** How much too late the last tick came, in time of the recording. */
  #late_ms = 0;
  #shown_at_ms = performance.now();
  #changed = Promise.withResolvers<void>();

  /**
   * `open` is called again to go back; `recordings` are the first. `filter`: what of them is shown. `beside`: of several,
   * how each is called, and by how much its clock is off.
   */
  constructor(
    recordings: readonly Stream[],
    open: () => Promise<readonly Stream[]>,
    causes: ReadonlySet<string> | null,
    filter = EVERYTHING,
    beside: readonly Beside[] = [],
  ) {
    this.#open = open;
    this.#filter = filter;
    this.#causes = causes;
    this.#beside = beside;
    this.#tracks = this.#begin(recordings);
  }

  read(): ScreenModel {
    const model = shownTogether(this.#tracks);
    const sum = (of: (track: Track) => number) =>
      this.#tracks.reduce((total, track) => total + of(track), 0);
    const size_bytes = sum(({ recording }) => recording.size_bytes);
    const played_bytes = sum((track) => track.played_bytes);
    const played = model.ended ? 1 : Math.min(1, played_bytes / (size_bytes || 1));
    const damages = sum((track) => track.damages);
    return { ...model, playback: { speed: this.#speed, paused: this.#paused, played, damages } };
  }

  control(control: Control): void {
    switch (control) {
      case 'pause':
        this.#paused = !this.#paused;
        break;
      case 'slower':
        this.#speed = Math.max(SLOWEST, this.#speed / 2);
        break;
      case 'faster':
        this.#speed = Math.min(FASTEST, this.#speed * 2);
        break;
      case 'forward':
        this.#seek_ns = Math.max(this.#seek_ns, this.#now_ns) + SEEK_NS;
        break;
      case 'back':
        this.#seek_ns = Math.max(0, this.#now_ns - SEEK_NS);
        this.#now_ns = this.#seek_ns;
        this.#rewind = true;
        break;
    }
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Plays until `signal` aborts. */
  async play(signal: AbortSignal): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    while (!signal.aborted) {
      await this.#playOnce(signal, stopped);
      while (!this.#rewind && !signal.aborted) await Promise.race([this.#changed.promise, stopped]);
      if (signal.aborted) return;
      this.#rewind = false;
      this.#tracks = this.#begin(await this.#open());
    }
  }

  #begin(recordings: readonly Stream[]): Track[] {
    return recordings.map(
      (recording, at) => new Track(recording, this.#causes, this.#filter, this.#beside[at] ?? null),
    );
  }

  async #playOnce(signal: AbortSignal, stopped: Promise<void>): Promise<void> {
    let last_ns: number | null = null;
    let rested_ms = performance.now();
    for await (const played of playedTogether(this.#tracks)) {
      const { track, time_ns } = played;
      if (time_ns !== null) {
        const gap_ms = last_ns === null ? 0 : (time_ns - last_ns) / 1e6;
        last_ns = time_ns;
        await this.#wait(time_ns, gap_ms, signal, stopped);
      }
      if (performance.now() - rested_ms > LONGEST_BUSY_MS) {
        await setImmediate();
        rested_ms = performance.now();
      }
      if (signal.aborted || this.#rewind) return;
      track.take(played);
      this.#now_ns = Math.max(this.#now_ns, time_ns ?? 0);
    }
    for (const track of this.#tracks) track.finish();
  }

  /** Until a tick is due. What comes late is made up for by those after it. */
  async #wait(
    time_ns: number,
    gap_ms: number,
    signal: AbortSignal,
    stopped: Promise<void>,
  ): Promise<void> {
    const shown_ms = (performance.now() - this.#shown_at_ms) * (this.#paused ? 0 : this.#speed);
    const late_ms = Math.min(this.#late_ms + shown_ms, LONGEST_PAUSE_MS * Math.max(1, this.#speed));
    let left_ms = Math.min(Math.max(0, gap_ms), LONGEST_PAUSE_MS) - late_ms;
    this.#late_ms = 0;
    while (!signal.aborted && !this.#rewind && time_ns > this.#seek_ns) {
      if (!this.#paused && left_ms < 1) {
        this.#late_ms = -left_ms;
        break;
      }
      const speed = this.#paused ? 0 : this.#speed;
      const before_ms = performance.now();
      const over = new AbortController();
      const due = speed > 0 ? sleep(left_ms / speed, undefined, { signal: over.signal }) : null;
      await Promise.race(
        [due?.catch(() => {}), this.#changed.promise, stopped].filter((one) => one !== undefined),
      );
      over.abort();
      left_ms -= (performance.now() - before_ms) * speed;
    }
    this.#shown_at_ms = performance.now();
  }
}
