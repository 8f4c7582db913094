// SPDX-License-Identifier: Apache-2.0

import { distance } from '../tcp/sequence.ts';
import { TCP_STATE } from '../tcp/states.ts';
import type { Connection } from './connection.ts';
import type { End } from './end.ts';
import { otherSide } from './ends.ts';
import { type Emit, packetOf, sockOf } from './messages.ts';
import { Kept, type Segment } from './segment.ts';

const MOST_DOUBTED = 32_768;
/** A window further away than any there is. */
const FAR = 1 << 30;

/** A reset that the other end may not have believed. */
interface Doubted {
  segment: Kept;
  time_ns: number;
  expected: number;
  window_end: number;
}

/** Resets that the other end did not believe: the connection goes on. */
export class DoubtedResets {
  readonly #emit: Emit;
  readonly #doubted = new Map<Connection, Doubted>();

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  doubt(connection: Connection, segment: Segment, peer: End, time_ns: number): void {
    if (!connection.open || peer.scale_cut || connection.end(segment.side).scale_cut) return;
    const [oldest] = this.#doubted.size < MOST_DOUBTED ? [] : this.#doubted.keys();
    if (oldest) this.#doubted.delete(oldest);
    const expected = connection.end(segment.side).next;
    const window_end = (expected + peer.window) >>> 0;
    this.#doubted.set(connection, {
      segment: Kept.of(segment),
      time_ns,
      expected,
      window_end,
    });
  }

  /** A reset of this connection that was doubted, and is not told yet. */
  of(connection: Connection): Doubted | undefined {
    return this.#doubted.size === 0 ? undefined : this.#doubted.get(connection);
  }

  /** Its sender goes on as if there had been none. */
  disbelieved(connection: Connection, doubted: Doubted, time_ns: number): void {
    this.#doubted.delete(connection);
    if (!connection.whole || connection.contested) return;
    const { segment, expected, window_end } = doubted;
    if (Math.abs(distance(expected, segment.seq)) > FAR) return;
    const side = otherSide(segment.side);
    this.#emit(
      time_ns,
      {
        drop: {
          packet: packetOf(segment, connection.opener),
          sock: { ...sockOf(connection, side, TCP_STATE.ESTABLISHED), rcv_nxt: expected },
          window_end,
        },
      },
      connection,
    );
  }

  clear(): void {
    this.#doubted.clear();
  }
}
