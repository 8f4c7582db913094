// SPDX-License-Identifier: Apache-2.0

import type { Event } from '../wire/event.ts';
import { ExpiringMap } from './expiring-map.ts';

/** Retries are at most 120 s apart (TCP_RTO_MAX). */
const SPAN_NS = 130e9;
const MOST = 20_000;

/** A connect whose SYN was sent again. */
export interface ResentSyn {
  /** Whether that is told of this connect for the first time. */
  opens: boolean;
  /** Since it was sent again first; null where that was not seen. */
  since_first_ms: number | null;
}

/** Connects of this host that had no answer when a SYN was due again, each by its socket and number. */
export class ResentSyns {
  readonly #first = new ExpiringMap<{ ktime_ns: number; is_first: boolean }>(SPAN_NS, MOST);
  readonly #of = new WeakMap<Event, ResentSyn>();

  learn(event: Event): void {
    if (event.kind !== 'retransmit' || event.body.syn === 0 || event.body.passing > 0) return;
    const { ktime_ns, netns } = event;
    const { id, snd_nxt, retransmits } = event.body.sock;
    const key = `${netns} ${id} ${snd_nxt}`;
    const before = this.#first.get(key, ktime_ns);
    const first = before ?? { ktime_ns, is_first: retransmits <= 1 };
    this.#first.set(key, first, ktime_ns);
    this.#of.set(event, {
      opens: !before,
      since_first_ms: first.is_first ? Math.round((ktime_ns - first.ktime_ns) / 1e6) : null,
    });
  }

  of(event: Event): ResentSyn | null {
    return this.#of.get(event) ?? null;
  }
}
