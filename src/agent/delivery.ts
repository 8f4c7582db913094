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
/** Of a request that is refused, to find what it is refused for: eight find one record of 256. */
const MOST_SPLITS = 32;

/** What became of a batch so far. */
interface Refusal {
  records: number;
  why: string;
  splits: number;
}

/** Sends records until they are taken, or are known never to be. */
export class Delivery {
  readonly #endpoint: Endpoint;
  readonly #counters: ExportCounters;
  readonly #say: (text: string) => void;
  readonly #wait: (ms: number, signal: AbortSignal) => Promise<void>;
  #failures = 0;
  /** Of the last batch something was taken. */
  #takes = true;

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
    // Where all of the last one was refused it is not about one record.
    const refusal = { records: 0, why: '', splits: this.#takes ? MOST_SPLITS : 0 };
    const sent = await this.#sendPart(batch, refusal, stopped);
    if (!sent) return false;
    if (refusal.records > 0) this.#countRefused(batch.length, refusal);
    this.#takes = refusal.records < batch.length;
    return true;
  }

  async #sendPart(
    part: readonly LogRecord[],
    refusal: Refusal,
    stopped: AbortSignal,
  ): Promise<boolean> {
    const message = ProtobufLogsSerializer.serializeRequest([...part]) ?? new Uint8Array(0);
    for (;;) {
      if (stopped.aborted) return false;
      const outcome = await post(this.#endpoint, message, stopped);
      if (outcome.is === 'failed') {
        if (stopped.aborted) return false;
        await this.#waitAfter(outcome, stopped);
        continue;
      }
      this.#workAgain();
      if (outcome.is === 'taken') this.#countTaken(part.length, outcome.body);
      else if (part.length > 1 && (outcome.too_large || refusal.splits-- > 0))
        return this.#sendHalves(part, refusal, stopped);
      else {
        refusal.records += part.length;
        refusal.why = outcome.why;
      }
      return true;
    }
  }

  async #sendHalves(
    part: readonly LogRecord[],
    refusal: Refusal,
    stopped: AbortSignal,
  ): Promise<boolean> {
    const middle = Math.ceil(part.length / 2);
    return (
      (await this.#sendPart(part.slice(0, middle), refusal, stopped)) &&
      (await this.#sendPart(part.slice(middle), refusal, stopped))
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

  #countRefused(records: number, { records: refused, why }: Refusal): void {
    this.#counters.refused += refused;
    this.#say(
      `${this.#endpoint.url.host}: ${why}: ${refused} of ${records} findings are not sent again`,
    );
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
