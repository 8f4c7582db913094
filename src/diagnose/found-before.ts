// SPDX-License-Identifier: Apache-2.0

import type { Cause, Severity } from '../causes/define.ts';
import { connectionId, ends } from '../known/connection-id.ts';
import { ExpiringMap } from '../known/expiring-map.ts';
import { Queue } from '../known/queue.ts';
import type { Event } from '../wire/event.ts';
import { sharedBy } from '../wire/key.ts';
import type { Flow } from '../wire/types.gen.ts';
import type { Occurrence, OpenFinding } from './open-finding.ts';
import { Precedence } from './precedence.ts';
import { areOpposite, isSame, type Reset, resetOf } from './resets.ts';
import { BENIGN, flowsOf, packetOf, UNEXPLAINED } from './unexplained.ts';

/** Retries are at most 120 s apart (TCP_RTO_MAX): what was found at the one before is known. */
const SPAN_NS = 130e9;
/** How far apart the two ends of one failure may be seen. */
export const SAME_FAILURE_NS = 2e9;
/** A packet's answer and its drop come from one call; its retransmission is at least 200 ms later. */
const SAME_PACKET_NS = 50e6;
/** The kernel's own stamps are in milliseconds. */
const STAMP_NS = 2e6;
/** Until then what was found can still turn out to be another failure's; after it only its cause and its count are asked for. */
export const WHOLE_NS = 5e9;
/** Of a storm so many are kept whole, and the others no longer than the two ends of a failure may be apart, and it is held. */
const CROWD = 2000;
/** More at once come of no kernel, only in a file. */
export const MOST_WHOLE = 10_000;
const CROWDED_NS = 2.5e9;
const MOST = 20_000;
const MOST_OF_ONE = 8;
const MOST_COMMON = 1024;

type Found = readonly Known[];

/** What the occurrences of a storm have in common: it is there once. */
interface Common {
  readonly cause: Cause;
  readonly severity: Severity;
  readonly where: string;
  readonly key: string;
  readonly reset: Reset;
}

/** What was found, with its event and evidence while these are needed: a storm leaves thousands a minute. */
class Known {
  readonly common: Common;
  readonly ktime_ns: number;
  /** Null after WHOLE_NS. */
  whole: Occurrence | null;
  #last: Cause | null = null;
  #count = 0;
  #finding: OpenFinding | null = null;

  constructor(occurrence: Occurrence, common: Common) {
    this.common = common;
    this.ktime_ns = occurrence.event.ktime_ns;
    this.whole = occurrence;
  }

  /** Of the same failure what says most. */
  get last(): Cause {
    let last = this.whole;
    while (last?.by) last = last.by;
    return last?.cause ?? this.#last ?? this.common.cause;
  }

  get count(): number {
    return this.whole?.count ?? this.#count;
  }

  /** What it is part of; null where another took its place. */
  get finding(): OpenFinding | null {
    if (!this.whole) return this.#finding;
    return this.whole.by ? null : this.whole.finding;
  }

  keepCause(): void {
    this.#last = this.last;
    this.#count = this.count;
    this.#finding = this.finding;
    this.whole = null;
  }
}

/**
 * What was found on each connection, at each service and of each packet: for what says more of the same
 * failure, and for what comes of it later. Bounded: the oldest go first.
 */
export class FoundBefore {
  /** In the order in which they were found: the first, and the newest. */
  readonly #connections = new ExpiringMap<Known[]>(SPAN_NS, MOST);
  /** At each end the newest of each cause that leads to others, the newest of all last. */
  readonly #leading = new ExpiringMap<Known[]>(SPAN_NS, MOST);
  /** The same of those that say more than others do. */
  readonly #stronger = new ExpiringMap<Known[]>(WHOLE_NS, MOST);
  /** The same by host, and for ANY_HOST, of what was counted for all ports of it. */
  readonly #shared = new ExpiringMap<Known[]>(WHOLE_NS, MOST);
  readonly #packets = new ExpiringMap<readonly Occurrence[]>(SAME_PACKET_NS, MOST);
  readonly #whole = new Queue<Known>();
  readonly #common = new Map<string, Common>();
  readonly #precedence: Precedence;
  readonly #sampled: (key: string) => boolean;

  /** `sampled` says whether some occurrences of a key were not explained one by one. */
  constructor(causes: readonly Cause[], sampled: (key: string) => boolean) {
    this.#precedence = new Precedence(causes);
    this.#sampled = sampled;
  }

  /** Whether another cause of the same failure may say more. */
  maySayLess({ id }: Cause): boolean {
    return this.#precedence.stronger(id).size > 0;
  }

  add(occurrence: Occurrence): void {
    const { cause, match, event } = occurrence;
    this.#keepCauses(event.ktime_ns);
    if (match.again) {
      this.#keepKnown(match.flow, event.ktime_ns);
      return;
    }
    const known = new Known(occurrence, this.#commonOf(occurrence));
    if (!match.goes_on) this.#whole.push(known);
    this.#addTo(connectionId(match.flow), known);
    if (cause.leadsTo) {
      const added = [connectionId(match.flow)];
      for (const flow of [...(match.related ?? []), ...flowsOf(event)]) {
        const other = connectionId(flow);
        if (added.includes(other)) continue;
        added.push(other);
        this.#addTo(other, known);
      }
    }
    if (!cause.supersedes && !cause.leadsTo) return;
    for (const end of ends(match.flow)) {
      if (cause.leadsTo) replaceIn(this.#leading, end, known);
      if (cause.supersedes) replaceIn(this.#stronger, end, known);
    }
    switch (sharedBy(event.key)) {
      case 'host':
        for (const host of hosts(match.flow)) replaceIn(this.#shared, host, known);
        break;
      case 'cause':
        replaceIn(this.#shared, ANY_HOST, known);
    }
  }

  addPacket(event: Event, occurrences: readonly Occurrence[]): void {
    const packet = event.kind === 'drop' ? null : packetId(event);
    if (packet !== null) this.#packets.set(packet, occurrences, event.ktime_ns);
  }

  /** What was made of the packet of this event. */
  ofPacket(event: Event): readonly Occurrence[] | undefined {
    const packet = packetId(event);
    return packet === null ? undefined : this.#packets.get(packet, event.ktime_ns);
  }

  /** What may be of the same failure: found on the connection, each at most SAME_FAILURE_NS before the next. */
  ofFailure(flow: Flow, ktime_ns: number): Occurrence[] {
    const found = this.#connections.get(connectionId(flow), ktime_ns) ?? NOTHING;
    const same: Occurrence[] = [];
    let next_ns = ktime_ns;
    for (let at = found.length - 1; at >= 0; at--) {
      const known = found[at] as Known;
      if (next_ns - known.ktime_ns > SAME_FAILURE_NS) break;
      next_ns = known.ktime_ns;
      if (known.whole && !known.whole.by) same.unshift(known.whole);
    }
    return same;
  }

  /**
   * What `occurrence` stands for, of those and of what was found since it began and goes on: a reset is none
   * that came from the other end. `ofOtherEnd`: of this very reset, where it came to.
   */
  weaker(
    occurrence: Occurrence,
    ofFailure: readonly Occurrence[],
    ofOtherEnd: readonly Occurrence[],
  ): Occurrence[] {
    const { cause, event, match } = occurrence;
    if (!cause.supersedes) return [];
    const reset = resetOf(event);
    const since = match.began_ns === undefined ? NOTHING : this.#sinceItBegan(occurrence);
    const ongoing = since.flatMap(({ whole }) =>
      whole?.match.goes_on && !whole.by && !ofFailure.includes(whole) ? [whole] : [],
    );
    const ofThese = [...ofFailure, ...ongoing].filter(
      (other) => !areOpposite(resetOf(other.event), reset),
    );
    return [...ofThese, ...ofOtherEnd].filter((other) =>
      cause.supersedes?.includes(other.cause.id),
    );
  }

  /**
   * A cause of the same failure that says more. Records of the two ends are sampled each on its own:
   * where some are missing, the same service at the same time stands for the same connection.
   */
  stronger(
    occurrence: Occurrence,
    ofFailure: readonly Occurrence[],
    ofOtherEnd: readonly Occurrence[],
  ): Occurrence | null {
    const { cause, event } = occurrence;
    const stronger = this.#precedence.stronger(cause.id);
    if (stronger.size === 0) return null;
    const reset = resetOf(event);
    const exact = ofFailure.find(
      (other) => stronger.has(other.cause.id) && !areOpposite(resetOf(other.event), reset),
    );
    const exactly = exact ?? ofOtherEnd.find(({ cause: other }) => stronger.has(other.id));
    if (exactly) return exactly;
    const near = this.#otherEnds(
      occurrence,
      ({ key }) => event.occurrences > 1 || this.#sampled(key),
    );
    return (near ?? this.#sharedOtherEnd(occurrence))?.whole ?? null;
  }

  /** Whether a cause that says more may stand for it, once it is known that not all of its occurrences became records. */
  mayBeSampled(occurrence: Occurrence): boolean {
    if (this.#precedence.stronger(occurrence.cause.id).size === 0) return false;
    return this.#otherEnds(occurrence, ({ key }) => !this.#sampled(key)) !== null;
  }

  /** The newest at the same service that says more, and may be of the same failure. */
  #otherEnds({ cause, event, match }: Occurrence, isMeant: (one: Common) => boolean): Known | null {
    const stronger = this.#precedence.stronger(cause.id);
    const reset = resetOf(event);
    const since_ns = event.ktime_ns - SAME_FAILURE_NS;
    return near(
      this.#stronger,
      match.flow,
      event.ktime_ns,
      ({ common, ktime_ns }, end) =>
        stronger.has(common.cause.id) &&
        ktime_ns >= since_ns &&
        !areOpposite(common.reset, reset, (at) => at === end) &&
        isMeant(common),
    );
  }

  /** The same where what says more was counted for its whole host, or for all: at any port of that host, or of any. */
  #sharedOtherEnd({ cause, event, match }: Occurrence): Known | null {
    const stronger = this.#precedence.stronger(cause.id);
    const reset = resetOf(event);
    const since_ns = event.ktime_ns - SAME_FAILURE_NS;
    const isMeant = ({ common, ktime_ns }: Known) =>
      stronger.has(common.cause.id) && ktime_ns >= since_ns;
    for (const host of hosts(match.flow)) {
      const found = this.#shared.get(host, event.ktime_ns);
      const near = found?.findLast(
        (one) =>
          isMeant(one) && !areOpposite(one.common.reset, reset, (at) => at.startsWith(`${host} `)),
      );
      if (near) return near;
    }
    return this.#shared.get(ANY_HOST, event.ktime_ns)?.findLast(isMeant) ?? null;
  }

  /**
   * What this came of, where that was found since it began. Where what led to it was sampled, its
   * occurrence for this very connection may be missing: then the same service stands for it. A reset
   * leads to what the other end is sent of this connection, and of no other.
   */
  because(occurrence: Occurrence): Known | null {
    const { cause, event, match } = occurrence;
    const leading = this.#precedence.leading(cause.id);
    if (leading.size === 0) return null;
    const since = this.#sinceItBegan(occurrence);
    const reset = resetOf(event);
    const leads = ({ common }: Known) => leading.has(common.cause.id);
    return (
      since.findLast(
        (one) =>
          leads(one) &&
          isWhy(one, since, event) &&
          (!one.common.reset.came_from || areOpposite(one.common.reset, reset)),
      ) ??
      near(
        this.#leading,
        match.flow,
        event.ktime_ns,
        (one) =>
          leads(one) &&
          one.common.severity !== 'info' &&
          isBetween(one, beganOf(occurrence), event.ktime_ns) &&
          !one.common.reset.came_from &&
          this.#sampled(one.common.key),
      )
    );
  }

  /** Drops that no cause explains of a connection that failed without a word, since that began. */
  unexplained(occurrence: Occurrence): Found {
    if (this.#precedence.leading(occurrence.cause.id).size === 0) return NOTHING;
    return this.#sinceItBegan(occurrence).filter(({ last }) => last === UNEXPLAINED);
  }

  #sinceItBegan(occurrence: Occurrence): Found {
    const { event, match } = occurrence;
    const found = [match.flow, ...(match.related ?? [])].flatMap(
      (flow) => this.#connections.get(connectionId(flow), event.ktime_ns) ?? NOTHING,
    );
    return found.filter((one) => isBetween(one, beganOf(occurrence), event.ktime_ns));
  }

  /** The cause of which a connection failed first. */
  first(flow: Flow, ktime_ns: number): Cause | null {
    const found = this.#connections.get(connectionId(flow), ktime_ns) ?? NOTHING;
    const first = found.find(
      (one) =>
        one.common.cause !== BENIGN &&
        one.common.cause !== UNEXPLAINED &&
        isBetween(one, ktime_ns - SPAN_NS, Number.POSITIVE_INFINITY),
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

  #addTo(connection: string, known: Known): void {
    const { ktime_ns } = known;
    const found = this.#connections.get(connection, ktime_ns);
    if (!found) {
      this.#connections.set(connection, [known], ktime_ns);
      return;
    }
    const kept = found.length > 1 ? found.filter((_, at) => isNeeded(found, at, known)) : found;
    if (kept.length === MOST_OF_ONE) kept.splice(1, 1);
    kept.push(known);
    this.#connections.set(connection, kept, ktime_ns);
  }

  #keepKnown(flow: Flow, ktime_ns: number): void {
    const found = this.#connections.get(connectionId(flow), ktime_ns);
    if (found) this.#connections.set(connectionId(flow), found, ktime_ns);
  }

  /** One for all that have it in common with those before. */
  #commonOf({ cause, match, event }: Occurrence): Common {
    const { key } = event;
    const { where, severity = cause.severity } = match;
    const reset = resetOf(event);
    const place = `${key} ${cause.id}`;
    const last = this.#common.get(place);
    if (last && last.where === where && last.severity === severity && isSame(last.reset, reset))
      return last;
    const common = { cause, severity, where, key, reset };
    if (this.#common.size >= MOST_COMMON) this.#common.clear();
    this.#common.set(place, common);
    return common;
  }
}

const NOTHING: Found = [];
const ANY_HOST = '*';

const hosts = ({ saddr, daddr }: Flow): string[] => [saddr, daddr];

/** The newest that is meant, at either of the flow's ends. */
function near(
  found: ExpiringMap<Known[]>,
  flow: Flow,
  ktime_ns: number,
  isMeant: (one: Known, end: string) => boolean,
): Known | null {
  for (const end of ends(flow)) {
    const newest = found.get(end, ktime_ns)?.findLast((one) => isMeant(one, end));
    if (newest) return newest;
  }
  return null;
}

/** In place of the one of the same cause. */
function replaceIn(found: ExpiringMap<Known[]>, place: string, known: Known): void {
  const there = found.get(place, known.ktime_ns);
  if (!there) {
    found.set(place, [known], known.ktime_ns);
    return;
  }
  const same = there.findIndex(({ common }) => common.cause === known.common.cause);
  if (same >= 0) there.splice(same, 1);
  there.push(known);
  found.set(place, there, known.ktime_ns);
}

/**
 * Whether anything is asked of it that those before and after it do not tell: of ports that are dialled again
 * and again the same is found each time.
 */
function isNeeded(found: Found, at: number, newest: Known): boolean {
  const [one, next] = [found[at] as Known, found[at + 1] ?? newest];
  return (
    at === 0 ||
    one.common !== next.common ||
    one.last !== next.last ||
    one.common.cause.leadsTo !== undefined ||
    one.last === UNEXPLAINED ||
    found.slice(0, at + 1).some(({ whole }) => whole !== null)
  );
}

const beganOf = ({ match }: Occurrence) => (match.began_ns ?? 0) - STAMP_NS;

/**
 * Whether a connection failed of this. What is only information where connections live, as a queue that
 * drops some of what is sent, is why only where it dropped all that was sent again.
 */
function isWhy({ common }: Known, found: Found, event: Event): boolean {
  const { cause, severity } = common;
  if (severity !== 'info' || event.kind !== 'state_change') return true;
  const dropped = found
    .filter((one) => one.common.cause === cause)
    .reduce((sum, { count }) => sum + count, 0);
  return dropped >= Math.min(event.body.sock.retransmits, MOST_OF_ONE - 1);
}

const isBetween = ({ ktime_ns }: Known, since_ns: number, until_ns: number) =>
  ktime_ns >= since_ns && ktime_ns <= until_ns;

function packetId(event: Event): string | null {
  const packet = packetOf(event);
  if (!packet) return null;
  const [one, other] = ends(packet.flow);
  return `${one} ${other} ${packet.seq} ${packet.flags} ${packet.payload_len}`;
}
