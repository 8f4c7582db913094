// SPDX-License-Identifier: Apache-2.0

import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { CAUSES } from '../causes/registry.gen.ts';
import { Pipeline } from '../diagnose/pipeline.ts';
import type { Stream } from '../record/stream.ts';
import { ticked } from '../record/ticks.ts';
import type { Control, ScreenModel, ScreenSource } from '../sinks/tui/model.ts';
import { EVERYTHING, type Filter } from '../source/filter.ts';
import { headerFor, narrowedTo } from './recording.ts';
import { PipelineScreen } from './screen-source.ts';

/** Pauses in a recording are at most this long when it is shown. */
const LONGEST_PAUSE_MS = 2000;
const SEEK_NS = 10e9;
const SLOWEST = 1 / 4;
const FASTEST = 64;
/** While it is wound forward, or comes late, the screen is drawn and keys are heard at least this often. */
const LONGEST_BUSY_MS = 50;

/** A recording on the screen, at the speed at which it was made unless keys say otherwise. */
export class Player implements ScreenSource {
  readonly #open: () => Promise<Stream>;
  readonly #causes: ReadonlySet<string> | null;
  readonly #filter: Filter;
  #recording: Stream;
  #screen: PipelineScreen;
  #pipeline: Pipeline;
  #speed = 1;
  #paused = false;
  #damages = 0;
  #now_ktime_ns = 0;
  /** Up to here it is wound forward. */
  #seek_ktime_ns = 0;
  #rewind = false;
  /** Bytes of the file up to where it was played. */
  #played_bytes = 0;
  /** How much too late the last tick came, in time of the recording. */
  #late_ms = 0;
  #shown_at_ms = performance.now();
  #changed = Promise.withResolvers<void>();

  /** `open` is called again to go back; `recording` is the first. `filter`: what of it is shown. */
  constructor(
    recording: Stream,
    open: () => Promise<Stream>,
    causes: ReadonlySet<string> | null,
    filter = EVERYTHING,
  ) {
    this.#open = open;
    this.#filter = filter;
    this.#causes = causes;
    this.#recording = recording;
    [this.#pipeline, this.#screen] = this.#begin(recording);
  }

  read(): ScreenModel {
    const { size_bytes } = this.#recording;
    const played = this.#screen.ended ? 1 : Math.min(1, this.#played_bytes / (size_bytes || 1));
    const playback = { speed: this.#speed, paused: this.#paused, played, damages: this.#damages };
    return { ...this.#screen.read(), playback };
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
        this.#seek_ktime_ns = Math.max(this.#seek_ktime_ns, this.#now_ktime_ns) + SEEK_NS;
        break;
      case 'back':
        this.#seek_ktime_ns = Math.max(0, this.#now_ktime_ns - SEEK_NS);
        this.#now_ktime_ns = this.#seek_ktime_ns;
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
      this.#recording = await this.#open();
      [this.#pipeline, this.#screen] = this.#begin(this.#recording);
    }
  }

  #begin(recording: Stream): [Pipeline, PipelineScreen] {
    const { path } = recording;
    const header = headerFor(recording.header, this.#filter);
    const pipeline = new Pipeline(header, CAUSES, null, null, narrowedTo(this.#filter));
    this.#damages = 0;
    this.#played_bytes = 0;
    return [pipeline, new PipelineScreen(pipeline, header, path, this.#causes)];
  }

  async #playOnce(signal: AbortSignal, stopped: Promise<void>): Promise<void> {
    let last_ktime_ns: number | null = null;
    let rested_ms = performance.now();
    let [from_bytes, to_bytes] = [0, 0];
    const recording = this.#recording;
    async function* pieces() {
      for await (const piece of recording.pieces()) {
        [from_bytes, to_bytes] = [to_bytes, recording.used_bytes];
        yield piece;
      }
    }
    for await (const { messages, ktime_ns, part, damage } of ticked(pieces())) {
      if (ktime_ns !== null) {
        const gap_ms = last_ktime_ns === null ? 0 : (ktime_ns - last_ktime_ns) / 1e6;
        last_ktime_ns = ktime_ns;
        await this.#wait(ktime_ns, gap_ms, signal, stopped);
      }
      if (performance.now() - rested_ms > LONGEST_BUSY_MS) {
        await setImmediate();
        rested_ms = performance.now();
      }
      if (signal.aborted || this.#rewind) return;
      this.#pipeline.push(messages);
      if (damage) this.#damages++;
      this.#played_bytes = from_bytes + part * (to_bytes - from_bytes);
      this.#now_ktime_ns = Math.max(this.#now_ktime_ns, ktime_ns ?? 0);
      this.#screen.note();
    }
    this.#pipeline.finish();
    this.#screen.note();
    this.#screen.ended = true;
  }

  /** Until a tick is due. What comes late is made up for by those after it. */
  async #wait(
    ktime_ns: number,
    gap_ms: number,
    signal: AbortSignal,
    stopped: Promise<void>,
  ): Promise<void> {
    const shown_ms = (performance.now() - this.#shown_at_ms) * (this.#paused ? 0 : this.#speed);
    const late_ms = Math.min(this.#late_ms + shown_ms, LONGEST_PAUSE_MS * Math.max(1, this.#speed));
    let left_ms = Math.min(Math.max(0, gap_ms), LONGEST_PAUSE_MS) - late_ms;
    this.#late_ms = 0;
    while (!signal.aborted && !this.#rewind && ktime_ns > this.#seek_ktime_ns) {
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
