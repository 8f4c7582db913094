// SPDX-License-Identifier: Apache-2.0

import { distance } from '../tcp/sequence.ts';
import type { Connection } from './connection.ts';
import type { Kept } from './segment.ts';

/** TCP_PAWS_MSL of Linux before 4.12: so long it remembers the last stamp of an address. */
const REMEMBERED_NS = 60e9;
/** TCP_PAWS_WINDOW: so far behind a stamp may be. */
const WINDOW = 1;
/** A SYN without an answer for so long was not answered. */
const UNANSWERED_NS = 1e9;
/** So many connects make it a rule. */
const ENOUGH = 3;
/** What breaks the rule is not forgotten for so long. */
const BROKEN_NS = 2 * REMEMBERED_NS;
const MOST_PAIRS = 50_000;
const MOST_REFUSED = 64;

/** A SYN that was not answered, and the newer stamp of its address. */
export interface Refused {
  syn: Kept;
  time_ns: number;
  tsval: number;
  age_s: number;
}

interface Waiting {
  pair: Pair;
  syn: Kept;
  time_ns: number;
}

/** One address that connects to another. */
interface Pair {
  /** Of the last segment of a connection that ended well. */
  last: { tsval: number; time_ns: number } | null;
  refused: Refused[];
  /** A SYN that was answered followed those that were not. */
  proved: boolean;
  broken_ns: number;
}

/**
 * Which SYNs of an address are answered, by their timestamps: where for a minute after a connection just those
 * that are older than its last stamp are not, a server with tcp_tw_recycle refuses them.
 */
export class Stamps {
  readonly #tell: (refused: Refused) => void;
  #pairs = new Map<string, Pair>();
  /** The oldest first. */
  readonly #waiting = new Map<Connection, Waiting>();

  constructor(tell: (refused: Refused) => void) {
    this.#tell = tell;
  }

  syn(connection: Connection, syn: Kept, time_ns: number): void {
    const pair = this.#pairs.get(pairOf(connection));
    if (!pair || !syn.has_timestamps || this.#waiting.size >= MOST_PAIRS) return;
    this.#waiting.set(connection, { pair, syn, time_ns });
  }

  /** With a SYN-ACK. */
  answered(connection: Connection, time_ns: number): void {
    const waiting = this.#waiting.get(connection);
    if (!waiting) return;
    this.#waiting.delete(connection);
    const { pair } = waiting;
    const behind = behindOf(waiting);
    if (behind === null) return;
    if (behind > WINDOW) this.#break(pair, time_ns);
    else this.#prove(pair);
  }

  /** In another way: it says nothing. */
  drop(connection: Connection): void {
    this.#waiting.delete(connection);
  }

  /** Whether a connection of its address had ended with a newer stamp. */
  isOlder(connection: Connection): boolean {
    const { syn, began_ns } = connection;
    const pair = this.#pairs.get(pairOf(connection));
    if (!pair || !syn?.has_timestamps) return false;
    return (behindOf({ pair, syn, time_ns: began_ns }) ?? 0) > WINDOW;
  }

  /** A connection ended well, and this was the last stamp of who had dialled. */
  remember(connection: Connection, tsval: number, time_ns: number): void {
    const key = pairOf(connection);
    const pair = this.#pairs.get(key);
    if (pair) {
      pair.last = { tsval, time_ns };
      return;
    }
    if (this.#pairs.size >= MOST_PAIRS) this.#pairs.clear();
    const last = { tsval, time_ns };
    this.#pairs.set(key, { last, refused: [], proved: false, broken_ns: -BROKEN_NS });
  }

  advance(time_ns: number): void {
    if (this.#waiting.size === 0) return;
    for (const [connection, waiting] of this.#waiting) {
      if (waiting.time_ns + UNANSWERED_NS > time_ns) return;
      this.#waiting.delete(connection);
      this.#unanswered(waiting, time_ns);
    }
  }

  clear(): void {
    this.#pairs.clear();
    this.#waiting.clear();
  }

  #unanswered(waiting: Waiting, now_ns: number): void {
    const { pair, syn, time_ns } = waiting;
    const behind = behindOf(waiting);
    if (behind === null || !pair.last) return;
    if (behind <= WINDOW) {
      this.#break(pair, now_ns);
      return;
    }
    if (now_ns - pair.broken_ns < BROKEN_NS) return;
    const age_s = Math.round((time_ns - pair.last.time_ns) / 1e9);
    const refused = { syn, time_ns, tsval: pair.last.tsval, age_s };
    if (pair.proved) this.#tell(refused);
    else if (pair.refused.length < MOST_REFUSED) pair.refused.push(refused);
  }

  #prove(pair: Pair): void {
    if (pair.refused.length < ENOUGH) return;
    pair.proved = true;
    for (const refused of pair.refused.splice(0)) this.#tell(refused);
  }

  #break(pair: Pair, time_ns: number): void {
    pair.refused = [];
    pair.proved = false;
    pair.broken_ns = time_ns;
  }
}

/** How far a SYN is behind the last stamp of its address; null: nothing is remembered of that. */
function behindOf({ pair: { last }, syn, time_ns }: Waiting): number | null {
  if (!last || time_ns - last.time_ns > REMEMBERED_NS) return null;
  return distance(syn.tsval, last.tsval);
}

function pairOf(connection: Connection): string {
  return connection.ends.addresses.both[connection.opener ?? 0];
}
