// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../tcp/flags.ts';
import type { Connection } from './connection.ts';
import type { End } from './end.ts';
import type { Side } from './ends.ts';
import { type Emit, flowOf } from './messages.ts';
import type { Segment } from './segment.ts';
import type { Vantage } from './vantage.ts';

/** So often, over so long a time, is more than a loss. */
const MANY_AGAIN = 4;
const LONG_NS = 2e9;
/** Who resets the connection then says itself that it gave up. */
const ASKED = 2;
/** An answer to the last of them would have come. */
const OVERDUE_NS = 1e9;
/** As long as this, every link takes it. */
const ANY_LINK_BYTES = 512;
const MOST = 32_768;
const NS_PER_MS = 1e6;

interface Waiting {
  side: Side;
  due_ns: number;
}

/** What an end of an open connection sent again and again, or asked, while nothing was heard of the other one. */
export class UnansweredData {
  readonly #emit: Emit;
  readonly #vantage: Vantage;
  /** The first that is due stands first. */
  readonly #waiting = new Map<Connection, Waiting>();

  constructor(emit: Emit, vantage: Vantage) {
    this.#emit = emit;
    this.#vantage = vantage;
  }

  /** It was sent by an end that waits for an answer. */
  sent(connection: Connection, segment: Segment, time_ns: number): void {
    const { side, payload_len, flags } = segment;
    const me = connection.end(side);
    if (me.again_since_heard < MANY_AGAIN || connection.told_data_unanswered) return;
    // Of a FIN alone no process waits for the answer.
    if (payload_len === 0 && flags & TCP_FLAG.fin) return;
    if (!me.waits || time_ns - me.waits_since_ns < LONG_NS || this.#waiting.has(connection)) return;
    if (this.#waiting.size < MOST)
      this.#waiting.set(connection, { side, due_ns: time_ns + OVERDUE_NS });
  }

  /** It resets the connection. */
  reset(connection: Connection, side: Side): void {
    this.#waiting.delete(connection);
    const { again_since_heard, waits, waits_since_ns, last_ns } = connection.end(side);
    if (again_since_heard >= ASKED && waits && last_ns - waits_since_ns >= OVERDUE_NS)
      this.#tell(connection, side, true);
  }

  advance(time_ns: number): void {
    if (this.#waiting.size === 0) return;
    for (const [connection, { side, due_ns }] of this.#waiting) {
      if (due_ns > time_ns) return;
      this.#waiting.delete(connection);
      if (connection.end(side).again_since_heard >= MANY_AGAIN) this.#tell(connection, side, false);
    }
  }

  /** The capture ends. */
  finish(): void {
    this.advance(Number.POSITIVE_INFINITY);
  }

  clear(): void {
    this.#waiting.clear();
  }

  #tell(connection: Connection, side: Side, gave_up: boolean): void {
    const { key, opener, client } = connection;
    const me = connection.end(side);
    const { waits, last } = me;
    if (connection.told_data_unanswered || connection.over || connection.contested) return;
    if (connection.mptcp || !connection.whole || !client?.opened || !waits || !last) return;
    connection.told_data_unanswered = true;
    this.#emit(
      me.last_ns,
      {
        unanswered: {
          flow: flowOf(key, side, opener),
          waited_ms: Math.round((me.last_ns - me.waits_since_ns) / NS_PER_MS),
          taken_at: this.#vantage.endOf(connection, side, last),
          heard: 1,
          sent_again: me.again_since_heard,
          probes: last.payload_len === 0 ? 1 : 0,
          idle_ms: Math.round(me.waits_idle_ns / NS_PER_MS),
          longest: isLongest(me, last) ? 1 : 0,
          gave_up: gave_up ? 1 : 0,
        },
      },
      connection,
    );
  }
}

function isLongest({ longest_acked }: End, { payload_len }: Segment): boolean {
  return payload_len > longest_acked && payload_len >= ANY_LINK_BYTES;
}
