// SPDX-License-Identifier: Apache-2.0

import type { Cause } from '../causes/define.ts';
import { connectionId } from '../known/connection-id.ts';
import { ExpiringMap } from '../known/expiring-map.ts';
import { Newest } from '../known/newest.ts';
import { Queue } from '../known/queue.ts';
import type { Flow } from '../wire/types.gen.ts';
import { type Common, Found } from './found.ts';
import type { Occurrence } from './open-finding.ts';
import { isSame } from './resets.ts';
import { BENIGN, flowsOf, UNEXPLAINED } from './unexplained.ts';

/** Retries are at most 120 s apart (TCP_RTO_MAX): what was found at the one before is known. */
export const SPAN_NS = 130e9;
/** More places at once than these: the oldest go first. */
export const MOST = 20_000;
/** Until then what was found can still turn out to be another failure's; after it only its cause and its count are asked for. */
export const WHOLE_NS = 5e9;
/** Of a storm so many are kept whole, and the others no longer than the two ends of a failure may be apart, and it is held. */
const CROWD = 2000;
const CROWDED_NS = 2.5e9;
/** More at once come of no kernel, only in a file. */
export const MOST_WHOLE = 5000;
export const MOST_OF_ONE = 8;
const MOST_COMMON = 1024;
/** The kernel's own stamps are in milliseconds. */
const STAMP_NS = 2e6;
const NOTHING: readonly Found[] = [];

/** What was found on each connection, in the order in which it was found: the first, and the newest. */
export class FoundOnConnections {
  readonly #found = new ExpiringMap<Found[]>(SPAN_NS, MOST);
  readonly #whole = new Queue<Found>();
  readonly #common = new Newest<string, Common>(MOST_COMMON);

  /** Null where it is told of again. */
  add(occurrence: Occurrence): Found | null {
    const { cause, match, event } = occurrence;
    this.#keepCauses(event.ktime_ns);
    if (match.again) {
      this.#keepKnown(match.flow, event.ktime_ns);
      return null;
    }
    const found = new Found(occurrence, this.#commonOf(occurrence));
    if (!match.goes_on) this.#whole.push(found);
    this.#addTo(connectionId(match.flow), found);
    if (!cause.leadsTo) return found;
    const added = [connectionId(match.flow)];
    for (const flow of [...(match.related ?? []), ...flowsOf(event)]) {
      const other = connectionId(flow);
      if (added.includes(other)) continue;
      added.push(other);
      this.#addTo(other, found);
    }
    return found;
  }

  of(flow: Flow, ktime_ns: number): readonly Found[] {
    return this.#found.get(connectionId(flow), ktime_ns) ?? NOTHING;
  }

  /** On its connections, since it began. */
  sinceItBegan(occurrence: Occurrence): readonly Found[] {
    const { ktime_ns } = occurrence.event;
    const { flow, related = [] } = occurrence.match;
    const since_ns = beganOf(occurrence);
    const found =
      related.length === 0
        ? this.of(flow, ktime_ns)
        : [flow, ...related].flatMap((one) => this.of(one, ktime_ns));
    return found.length === 0 ? NOTHING : found.filter((one) => isBetween(one, since_ns, ktime_ns));
  }

  /** The cause of which a connection failed first. */
  first(flow: Flow, ktime_ns: number): Cause | null {
    const first = this.of(flow, ktime_ns).find(
      (one) =>
        one.common.cause !== BENIGN &&
        one.common.cause !== UNEXPLAINED &&
        one.ktime_ns >= ktime_ns - SPAN_NS,
    );
    return first?.last ?? null;
  }

  #keepCauses(ktime_ns: number): void {
    for (let oldest = this.#whole.oldest; oldest; oldest = this.#whole.oldest) {
      const some = this.#whole.length;
      const span_ns = some > MOST_WHOLE ? -1 : some > CROWD ? CROWDED_NS : WHOLE_NS;
      if (ktime_ns - oldest.ktime_ns <= span_ns) return;
      oldest.keepCause();
      this.#whole.shift();
    }
  }

  #addTo(connection: string, found: Found): void {
    const { ktime_ns } = found;
    const there = this.#found.get(connection, ktime_ns) ?? NOTHING;
    const kept =
      there.length > 1 ? there.filter((_, at) => isNeeded(there, at, found)) : [...there];
    if (kept.length === MOST_OF_ONE) kept.splice(1, 1);
    // An array that was pushed to has room for 16 more.
    this.#found.set(connection, [...kept, found], ktime_ns);
  }

  #keepKnown(flow: Flow, ktime_ns: number): void {
    const found = this.#found.get(connectionId(flow), ktime_ns);
    if (found) this.#found.set(connectionId(flow), found, ktime_ns);
  }

  /** One for all that have it in common with those before. */
  #commonOf({ cause, match, event, reset }: Occurrence): Common {
    const { key } = event;
    const { where, severity = cause.severity } = match;
    const place = `${key} ${cause.id}`;
    const last = this.#common.get(place);
    if (last && last.where === where && last.severity === severity && isSame(last.reset, reset))
      return last;
    const common = { cause, severity, where, key, reset };
    this.#common.set(place, common);
    return common;
  }
}

export const beganOf = ({ match }: Occurrence) => (match.began_ns ?? 0) - STAMP_NS;

export const isBetween = ({ ktime_ns }: Found, since_ns: number, until_ns: number) =>
  ktime_ns >= since_ns && ktime_ns <= until_ns;

/**
 * Whether anything is asked of it that those before and after it do not tell: of ports that are dialled again
 * and again the same is found each time.
 */
function isNeeded(found: readonly Found[], at: number, newest: Found): boolean {
  const [one, next] = [found[at] as Found, found[at + 1] ?? newest];
  return (
    at === 0 ||
    one.common !== next.common ||
    one.last !== next.last ||
    one.common.cause.leadsTo !== undefined ||
    one.last === UNEXPLAINED ||
    found.slice(0, at + 1).some(({ whole }) => whole !== null)
  );
}
