// SPDX-License-Identifier: Apache-2.0

import { FileFindings } from '../agent/findings.ts';
import type { Resources } from '../agent/resource.ts';
import type { Live } from '../agent/shipper.ts';
import type { Rotation } from '../record/parts.ts';
import { LITTLE_BYTES } from '../source/rings.ts';
import type { Source } from '../source/source.ts';
import { Recorder, troubleTeller } from './recorder.ts';

/** What the flight recorder tells of its files. */
export interface FlightListener {
  /** Another file begins, of which these are the findings. */
  began(findings: FileFindings): void;
  /** A file was finished; its findings are whole. */
  ended(number: number, findings: FileFindings): void;
}

/** A source on its way into recordings of which the newest are kept, and what is found in the one being made. */
export class FlightRecorder implements Live {
  findings: FileFindings;
  readonly #recorder: Recorder;
  readonly #listener: FlightListener;
  readonly #tell: () => void;

  /** Throws UsageError where nothing can be recorded at `path`. */
  constructor(
    source: Source,
    path: string,
    rotation: Rotation,
    resources: Resources,
    listener: FlightListener,
  ) {
    this.#recorder = new Recorder(source, { output: path, force: false }, rotation);
    this.#tell = troubleTeller(this.#recorder);
    this.#listener = listener;
    this.findings = new FileFindings(source.header, resources);
    this.#follow(this.findings);
    this.findings.pipeline.push(this.#recorder.begin());
  }

  get number(): number {
    return this.#recorder.number;
  }

  flush(): void {
    this.#recorder.flush();
  }

  /** Whether little came. */
  tick(): boolean {
    const { number } = this;
    const chunk = this.#recorder.tick();
    const isLittle = chunk.length < LITTLE_BYTES;
    this.findings.pipeline.push(chunk);
    const next = this.#recorder.takeNext();
    if (next) {
      const ended = this.findings;
      ended.pipeline.finish();
      this.#follow(ended.next(next.header));
      this.findings.pipeline.push(next.opening);
      this.#listener.ended(number, ended);
    }
    this.#tell();
    return isLittle;
  }

  end(why: string): void {
    this.findings.pipeline.push(this.#recorder.end(why));
    this.findings.pipeline.finish();
  }

  close(): void {
    this.#recorder.close();
  }

  #follow(findings: FileFindings): void {
    this.findings = findings;
    this.#recorder.countIn(findings.pipeline.losses);
    this.#listener.began(findings);
  }
}
