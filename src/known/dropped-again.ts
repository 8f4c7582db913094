// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../tcp/flags.ts';
import type { Event } from '../wire/event.ts';
import { sourceToDestination } from './connection-id.ts';
import { ExpiringMap } from './expiring-map.ts';

/** What is smaller fits every path. */
const LARGE_BYTES = 500;
/** Retries are at most 120 s apart (TCP_RTO_MAX). */
const SPAN_NS = 130e9;
const MOST = 4096;

/** SYNs and large segments that this host dropped without a socket: whether the very same one comes again. */
export class DroppedAgain {
  readonly #first_ns = new ExpiringMap<number>(SPAN_NS, MOST);
  readonly #before_ms = new WeakMap<Event, number>();

  learn(event: Event): void {
    if (event.kind !== 'drop' || event.body.sock) return;
    const { flow, flags, seq, payload_len } = event.body.packet;
    if (payload_len < LARGE_BYTES && !(flags & TCP_FLAG.syn)) return;
    const key = `${event.netns} ${sourceToDestination(flow)} ${seq}`;
    const first_ns = this.#first_ns.get(key, event.ktime_ns);
    if (first_ns !== undefined)
      this.#before_ms.set(event, Math.round((event.ktime_ns - first_ns) / 1e6));
    this.#first_ns.set(key, first_ns ?? event.ktime_ns, event.ktime_ns);
  }

  before_ms(event: Event): number | null {
    return this.#before_ms.get(event) ?? null;
  }
}
