// SPDX-License-Identifier: Apache-2.0

import { setTimeout as sleep } from 'node:timers/promises';
import { ProtobufLogsSerializer } from '@opentelemetry/otlp-transformer';
import { backoff_ms } from './backoff.ts';
import type { ExportCounters } from './counters.ts';
import type { Endpoint } from './endpoint.ts';
import type { LogRecord } from './otlp.ts';
import { type Outcome, post } from './post.ts';

/** Of one request. */
const MOST_RECORDS = 256;

/** Sends records until they are taken, or are known never to be. */
export class Delivery {
  readonly #endpoint: Endpoint;
  readonly #counters: ExportCounters;
  readonly #say: (text: string) => void;
  readonly #wait: (ms: number, signal: AbortSignal) => Promise<void>;
  #failures = 0;

  constructor(
    endpoint: Endpoint,
    counters: ExportCounters,
    say: (text: string) => void,
    wait: (ms: number, signal: AbortSignal) => Promise<void> = pause,
  ) {
    this.#endpoint = endpoint;
    this.#counters = counters;
    this.#say = say;
    this.#wait = wait;
  }

  /** In their order; false where it was stopped before all were delivered. */
  async send(records: readonly LogRecord[], stopped: AbortSignal): Promise<boolean> {
    for (let from = 0; from < records.length; from += MOST_RECORDS) {
      if (!(await this.#sendBatch(records.slice(from, from + MOST_RECORDS), stopped))) return false;
    }
    return true;
  }

  async #sendBatch(batch: readonly LogRecord[], stopped: AbortSignal): Promise<boolean> {
    const message = ProtobufLogsSerializer.serializeRequest([...batch]) ?? new Uint8Array(0);
    for (;;) {
      if (stopped.aborted) return false;
      const outcome = await post(this.#endpoint, message, stopped);
      if (outcome.is === 'failed') {
        if (stopped.aborted) return false;
        await this.#waitAfter(outcome, stopped);
        continue;
      }
      this.#workAgain();
      if (outcome.is === 'taken') this.#countTaken(batch.length, outcome.body);
      else if (outcome.too_large && batch.length > 1) return this.#sendHalves(batch, stopped);
      else this.#countRefused(batch.length, outcome.why);
      return true;
    }
  }

  async #sendHalves(batch: readonly LogRecord[], stopped: AbortSignal): Promise<boolean> {
    const middle = Math.ceil(batch.length / 2);
    return (
      (await this.#sendBatch(batch.slice(0, middle), stopped)) &&
      (await this.#sendBatch(batch.slice(middle), stopped))
    );
  }

  async #waitAfter(
    { why, wait_ms }: Extract<Outcome, { is: 'failed' }>,
    stopped: AbortSignal,
  ): Promise<void> {
    this.#counters.failed_requests++;
    if (++this.#failures === 1)
      this.#say(`${this.#endpoint.url.host}: ${why}: findings wait in the recording`);
    await this.#wait(Math.max(backoff_ms(this.#failures), wait_ms ?? 0), stopped);
  }

  #workAgain(): void {
    if (this.#failures > 0) this.#say(`${this.#endpoint.url.host} answers again`);
    this.#failures = 0;
  }

  #countTaken(records: number, body: Uint8Array): void {
    const told = rejectedIn(body);
    // Whatever it says, there were no more.
    const rejected = Math.min(records, Math.max(0, told.rejected || 0));
    this.#counters.delivered += records - rejected;
    this.#counters.rejected += rejected;
    if (rejected > 0)
      this.#say(
        `${this.#endpoint.url.host} did not take ${rejected} of ${records} findings: ${told.why}`,
      );
  }

  #countRefused(records: number, why: string): void {
    this.#counters.refused += records;
    this.#say(`${this.#endpoint.url.host}: ${why}: ${records} findings are not sent again`);
  }
}

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}

/** An answer in another form than that of OTLP says nothing. */
function rejectedIn(body: Uint8Array): { rejected: number; why: string } {
  try {
    const { partialSuccess } = ProtobufLogsSerializer.deserializeResponse(body);
    return {
      rejected: Number(partialSuccess?.rejectedLogRecords ?? 0),
      why: partialSuccess?.errorMessage || 'it does not say why',
    };
  } catch {
    return { rejected: 0, why: '' };
  }
}
