// SPDX-License-Identifier: Apache-2.0

import { setTimeout as sleep } from 'node:timers/promises';
import type { ExportCounters } from './counters.ts';
import type { Endpoint } from './endpoint.ts';
import { post } from './post.ts';

/** Sends the metrics as they stand, each time once: sums go on, so that what fails is told by the next. */
export class MetricsTeller {
  readonly #endpoint: Endpoint;
  readonly #request: () => Uint8Array;
  readonly #counters: ExportCounters;
  readonly #say: (text: string) => void;
  #failing = false;

  constructor(
    endpoint: Endpoint,
    request: () => Uint8Array,
    counters: ExportCounters,
    say: (text: string) => void,
  ) {
    this.#endpoint = endpoint;
    this.#request = request;
    this.#counters = counters;
    this.#say = say;
  }

  async run(interval_ms: number, stopped: AbortSignal): Promise<void> {
    while (!stopped.aborted) {
      await sleep(interval_ms, undefined, { signal: stopped }).catch(() => {});
      if (!stopped.aborted) await this.tell(stopped);
    }
  }

  async tell(stopped: AbortSignal): Promise<void> {
    const outcome = await post(this.#endpoint, this.#request(), stopped);
    if (outcome.is !== 'taken') this.#counters.failed_metrics++;
    const failing = outcome.is !== 'taken' && !stopped.aborted;
    if (failing && !this.#failing)
      this.#say(`${this.#endpoint.url.host}: ${outcome.why}: metrics are told again later`);
    this.#failing = failing;
  }
}
