// SPDX-License-Identifier: Apache-2.0

import type { Cause, Evidence, Match } from '../causes/define.ts';
import { Recent } from '../flow/recent.ts';
import type { Event } from '../wire/event.ts';
import { connectionId, ends } from './connection.ts';
import type { Because } from './finding.ts';
import { flowsOf } from './unexplained.ts';

interface Reason {
  because: Because;
  ktime_ns: number;
  key: string;
}

/** Retries are at most 120 s apart (TCP_RTO_MAX): what refused the last one is remembered. */
const SPAN_NS = 130e9;
/** The kernel's own stamps are in milliseconds. */
const STAMP_NS = 2e6;
const MAX_REASONS = 20_000;

/**
 * What was refused or dropped on each connection, for what comes of it later: a SYN that a full queue
 * refused, and the connect that times out a minute after. Bounded: the oldest connections go first.
 */
export class Reasons {
  readonly #leading = new Map<string, Set<string>>();
  readonly #connections = new Recent<Reason>(SPAN_NS, MAX_REASONS);
  readonly #services = new Recent<Reason>(SPAN_NS, MAX_REASONS);
  readonly #sampled: (key: string) => boolean;

  /** `sampled` says whether some occurrences of a key became no record. */
  constructor(causes: readonly Cause[], sampled: (key: string) => boolean) {
    this.#sampled = sampled;
    for (const { id, leadsTo = [] } of causes) {
      for (const later of leadsTo)
        this.#leading.set(later, (this.#leading.get(later) ?? new Set()).add(id));
    }
  }

  /** Whether others may be the reason for occurrences of this cause. */
  mayExplain({ id }: Cause): boolean {
    return this.#leading.has(id);
  }

  /** Remembers an occurrence of a cause that leads to others. */
  note({ id, leadsTo }: Cause, match: Match<Evidence>, event: Event): void {
    if (!leadsTo) return;
    const { ktime_ns, key } = event;
    const reason = { because: { cause: id, where: match.where }, ktime_ns, key };
    for (const flow of [match.flow, ...(match.related ?? []), ...flowsOf(event)])
      this.#connections.set(connectionId(flow), reason, ktime_ns);
    for (const end of ends(match.flow)) this.#services.set(`${id} ${end}`, reason, ktime_ns);
  }

  /**
   * Why this came about, if that was seen since it began. Where records of a reason are sampled, its
   * occurrence for this very connection may be missing: then the same service stands for it.
   */
  of({ id }: Cause, match: Match<Evidence>, { ktime_ns }: Event): Because | null {
    const leading = this.#leading.get(id);
    if (!leading) return null;
    const began_ns = (match.began_ns ?? 0) - STAMP_NS;
    const exact = this.#connections.get(connectionId(match.flow), ktime_ns);
    if (exact && leading.has(exact.because.cause) && exact.ktime_ns >= began_ns)
      return exact.because;
    for (const reason of leading) {
      for (const end of ends(match.flow)) {
        const near = this.#services.get(`${reason} ${end}`, ktime_ns);
        if (near && near.ktime_ns >= began_ns && this.#sampled(near.key)) return near.because;
      }
    }
    return null;
  }
}
