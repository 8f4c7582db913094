// SPDX-License-Identifier: Apache-2.0

import { TCP_STATE } from '../tcp/states.ts';
import type { Connection } from './connection.ts';
import { linuxError } from './icmp.ts';
import { type Emit, sockOf } from './messages.ts';
import { Kept, type Segment } from './segment.ts';

/** Connects that an ICMP error has answered, and that may go on: more are not kept. */
const MOST = 4096;
/** A SYN is sent again after this, and after twice the time from then on. */
const FIRST_RETRY_NS = 1e9;
/** A SYN that no router has passed on. */
const INITIAL_TTL: ReadonlySet<number> = new Set([64, 128, 255]);

/** A SYN answered by an ICMP error, until it is clear that it was not sent again. */
interface Waiting {
  connection: Connection;
  segment: Kept;
  /** When the error came. */
  time_ns: number;
  syns: number;
  due_ns: number;
}

/** Connects that an ICMP error ended: no SYN came after it. */
export class Unreachable {
  readonly #emit: Emit;
  /** The first that is due stands first. */
  #waiting: Waiting[] = [];

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  /** The error quotes a segment of this connection. */
  error(connection: Connection, segment: Segment, time_ns: number): void {
    const { icmp } = segment;
    const { opener, syns, syn_ns } = connection;
    if (opener !== segment.side || connection.server?.last) return;
    if (connection.end(opener).isn !== segment.seq || connection.itself) return;
    if (!icmp || linuxError(icmp) === null || this.#waiting.length >= MOST) return;
    const due_ns = Math.max(time_ns, syn_ns + 1.5 * FIRST_RETRY_NS * 2 ** Math.min(syns - 1, 7));
    const one = { connection, segment: Kept.of(segment), time_ns, syns, due_ns };
    const at = this.#waiting.findLastIndex((other) => other.due_ns <= due_ns);
    this.#waiting.splice(at + 1, 0, one);
  }

  /** Nothing more came of a connect that an ICMP error had answered. */
  #ended({ connection, segment, time_ns, syns }: Waiting): void {
    const { opener } = connection;
    const { icmp } = segment;
    if (!icmp || opener === null || connection.over || connection.contested) return;
    if (connection.syns !== syns || connection.server?.last) return;
    connection.reset = true;
    this.answered(connection);
    const { type, code, from } = icmp;
    this.#emit(
      time_ns,
      {
        state_change: {
          old_state: TCP_STATE.SYN_SENT,
          new_state: TCP_STATE.CLOSE,
          sock: {
            ...sockOf(connection, opener, TCP_STATE.SYN_SENT),
            err: linuxError(icmp) ?? 0,
            retransmits: syns - 1,
          },
          icmp: { type, code, from, seq: segment.seq },
        },
      },
      connection,
    );
  }

  /** It is answered: an ICMP error that came for its SYN did not end it. */
  answered(connection: Connection): void {
    if (this.#waiting.length === 0) return;
    this.#waiting = this.#waiting.filter((one) => one.connection !== connection);
  }

  advance(time_ns: number): void {
    while (this.#waiting[0] && this.#waiting[0].due_ns <= time_ns) {
      const one = this.#waiting.shift();
      if (one) this.#ended(one);
    }
  }

  /** The capture ends: its time did not suffice, and only a loss could gainsay it. */
  finish(): void {
    for (const one of this.#waiting.splice(0)) if (isAtClient(one.connection.syn)) this.#ended(one);
  }

  clear(): void {
    this.#waiting = [];
  }
}

/** It was captured where it was sent, or no router away from there. */
function isAtClient(syn: Segment | null): boolean {
  return syn?.outgoing === true || INITIAL_TTL.has(syn?.ttl ?? 0);
}
