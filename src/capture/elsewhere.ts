// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../tcp/flags.ts';
import { before, next } from '../tcp/sequence.ts';
import { TCP_STATE } from '../tcp/states.ts';
import type { Connection } from './connection.ts';
import type { End } from './end.ts';
import { otherSide } from './ends.ts';
import type { Followed } from './followed.ts';
import { type Emit, packetOf, sockOf } from './messages.ts';
import { isCopy, Kept, type Segment } from './segment.ts';

const MOST_ASTRAY = 32_768;

/** Replies that come from another end than the one that was dialled. */
export class Elsewhere {
  readonly #emit: Emit;
  readonly #followed: Followed;
  /** SYN-ACKs that answer what was dialled elsewhere. */
  readonly #astray = new Map<string, { segment: Kept; dialled: Connection }>();

  constructor(emit: Emit, followed: Followed) {
    this.#emit = emit;
    this.#followed = followed;
  }

  /** A SYN-ACK for no connect to its sender: the connect of the same end that it answers is looked for. */
  synAck(segment: Segment): void {
    const dialled = this.#followed.dialledBy(segment.ends, otherSide(segment.side));
    for (const connection of dialled) {
      const { syn } = connection;
      if (!syn || connection.over || connection.contested || connection.server?.last) continue;
      if (connection.key === segment.key || next(syn.seq) !== segment.ack) continue;
      if (this.#astray.size >= MOST_ASTRAY) this.#astray.clear();
      this.#astray.set(segment.key, { segment: Kept.of(segment), dialled: connection });
      connection.answered_otherwise = true;
      return;
    }
  }

  /** A reset for no connect to its sender: the connect of the same end that it answers is looked for. */
  reset(segment: Segment): void {
    if (!(segment.flags & TCP_FLAG.ack) || segment.seq !== 0) return;
    for (const connection of this.#followed.dialledBy(segment.ends, otherSide(segment.side))) {
      const { syn } = connection;
      if (!syn || connection.over || connection.contested || connection.server?.last) continue;
      if (connection.mptcp || connection.syns > 1 || next(syn.seq) !== segment.ack) continue;
      connection.refused_by = Kept.of(segment);
      connection.answered_otherwise = true;
      return;
    }
  }

  /** The client did not believe the reset, or did not get it: it asks again. */
  dialledAgain(connection: Connection, time_ns: number): void {
    const { refused_by, opener } = connection;
    if (!refused_by || opener === null || connection.over || connection.server?.last) return;
    connection.refused_by = null;
    this.#emit(
      time_ns,
      {
        crossed_reply: {
          packet: packetOf(refused_by, otherSide(refused_by.side)),
          fits: sockOf(connection, opener, TCP_STATE.SYN_SENT),
        },
      },
      connection,
    );
  }

  /** Connects with the very same SYN to another end, which did not answer. */
  *sameDial(connection: Connection): Generator<Connection> {
    if (connection.opener === null) return;
    for (const other of this.#followed.dialledBy(connection.ends, connection.opener)) {
      if (other === connection || other.over || other.server?.last) continue;
      if (other.syn?.seq === connection.syn?.seq) yield other;
    }
  }

  /** The client resets who answered in place of whom it had dialled. */
  isAnswered(segment: Segment, time_ns: number): boolean {
    const astray = this.#astray.get(segment.key);
    if (!astray || segment.side === astray.segment.side) return false;
    if (segment.seq !== astray.segment.ack) return false;
    this.#astray.delete(segment.key);
    this.wrongSource(astray.dialled, astray.segment, time_ns);
    return true;
  }

  wrongSource(dialled: Connection, synAck: Segment, time_ns: number): void {
    const told = dialled.answered_by;
    if (told && isCopy(told.seg, synAck, time_ns - told.time_ns)) return;
    dialled.answered_by = { seg: Kept.of(synAck), time_ns };
    const client = dialled.opener ?? 0;
    this.#emit(
      time_ns,
      {
        reset_sent: {
          packet: packetOf(synAck, otherSide(synAck.side)),
          dialled: sockOf(dialled, client, TCP_STATE.SYN_SENT),
        },
      },
      dialled,
    );
  }

  /** Whether it fits another connection of the same end that dialled, and then tells so. */
  crossed(known: Connection | undefined, segment: Segment, time_ns: number): boolean {
    for (const other of this.#followed.dialledBy(segment.ends, otherSide(segment.side))) {
      if (other.key === segment.key || other.over || !other.whole || other.contested) continue;
      const [client, server] = [other.client, other.server];
      if (!client?.opened || !server) continue;
      if (segment.seq !== server.next || server.pieces.length > 0) continue;
      if (segment.flags & TCP_FLAG.ack && !isAcknowledging(segment, client, server)) continue;
      this.#emit(
        time_ns,
        {
          crossed_reply: {
            packet: packetOf(segment, otherSide(segment.side)),
            fits: sockOf(other, other.opener ?? 0, TCP_STATE.ESTABLISHED),
            ...(known &&
              !known.over &&
              known.client?.opened && {
                sock: sockOf(known, otherSide(segment.side), TCP_STATE.ESTABLISHED),
              }),
          },
        },
        other,
      );
      return true;
    }
    return false;
  }

  clear(): void {
    this.#astray.clear();
  }
}

/** What it acknowledges is on its way, or was acknowledged last. */
function isAcknowledging({ ack }: Segment, client: End, server: End): boolean {
  const from = server.acked ?? next(client.isn ?? 0);
  return !before(ack, from) && !before(client.next, ack);
}
