// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../tcp/flags.ts';
import { before } from '../tcp/sequence.ts';
import { TCP_STATE } from '../tcp/states.ts';
import type { Connection, Remembered } from './connection.ts';
import { otherSide } from './ends.ts';
import { bareSock, type Emit, flowOf, packetOf, sockOf } from './messages.ts';
import { Kept, type Segment } from './segment.ts';

/** What answers comes sooner. */
const ANSWER_NS = 1e9;
/** TCP_TIMEWAIT_LEN: so long a connection is remembered that was closed. */
const TIMEWAIT_NS = 60e9;
const NS_PER_S = 1e9;

/**
 * Segments that are refused because a newer timestamp came before: new data on an open connection, and the SYN for one
 * whose end is remembered. Whoever refuses answers with what it expects, and echoes the newer timestamp.
 */
export class OldStamps {
  readonly #emit: Emit;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  /** Before a segment of an open connection is followed. */
  take(connection: Connection, segment: Segment, time_ns: number): void {
    const { old_data } = connection;
    if (old_data && old_data.seg.side !== segment.side) {
      connection.old_data = null;
      this.#answered(connection, segment, time_ns, old_data);
    }
    const { stamp, stamp_ns } = connection.end(segment.side);
    if (stamp === null || !segment.has_timestamps || segment.payload_len === 0) return;
    if (!before(segment.tsval, stamp)) return;
    const { acked, last } = connection.end(otherSide(segment.side));
    // What the other end waits for: all else may be late, and old by nature.
    if (acked === null ? segment.seq !== connection.end(segment.side).next : segment.seq !== acked)
      return;
    // Its own, which nothing on the way has changed, has come back.
    if (!last?.has_timestamps || last.tsecr !== stamp) return;
    connection.old_data = { seg: Kept.of(segment), time_ns, newer_ns: stamp_ns };
  }

  /** By an ACK that asks for just this data once more, and echoes the newer timestamp. */
  #answered(
    connection: Connection,
    answer: Segment,
    time_ns: number,
    { seg, time_ns: sent_ns, newer_ns }: NonNullable<Connection['old_data']>,
  ): void {
    if (!connection.whole || !connection.open || connection.contested || connection.mptcp) return;
    if (!isBareAck(answer) || !answer.has_timestamps || time_ns - sent_ns > ANSWER_NS) return;
    if (answer.ack !== seg.seq || !before(seg.tsval, answer.tsecr)) return;
    // Without room it would be refused too.
    if (answer.window === 0) return;
    const state = connection.end(seg.side).fin ? TCP_STATE.CLOSE_WAIT : TCP_STATE.ESTABLISHED;
    this.#emit(
      sent_ns,
      {
        drop: {
          packet: packetOf(seg, connection.opener),
          sock: { ...sockOf(connection, answer.side, state), rcv_nxt: answer.ack },
          remembered: {
            tsval: answer.tsecr,
            age_s: Math.round((sent_ns - newer_ns) / NS_PER_S),
          },
        },
      },
      connection,
    );
  }

  /** What its server remembers of a connection that is closed, where it had closed first; null: that is not sure. */
  static remembered({ client, server }: Connection, time_ns: number): Remembered | null {
    // It has acknowledged a FIN that told that its own had come.
    if (!client?.fin?.is_second || !server) return null;
    const tsval = client.stamp;
    return {
      time_ns,
      client_next: client.next,
      server_next: server.next,
      tsval,
    };
  }

  /** Whether a segment is of the connection that its ends had before: the answer to a SYN that comes too early. */
  ofEnded(connection: Connection, segment: Segment, time_ns: number): boolean {
    const { before: ended, opener, syn, syn_ns } = connection;
    if (!ended || opener === null || connection.server?.last) return false;
    if (segment.side === opener || !isBareAck(segment)) return false;
    if (segment.seq !== ended.server_next || segment.ack !== ended.client_next) return false;
    if (!syn?.has_timestamps || ended.tsval === null || connection.syns > 1) return true;
    if (!segment.has_timestamps || segment.tsecr !== ended.tsval) return true;
    if (!before(syn.tsval, ended.tsval)) return true;
    if (syn_ns - ended.time_ns > TIMEWAIT_NS || time_ns - syn_ns > ANSWER_NS) return true;
    if (connection.before_told) return true;
    connection.before_told = true;
    this.#emit(
      syn_ns,
      {
        drop: {
          packet: packetOf(syn, opener),
          sock: bareSock(flowOf(connection.key, segment.side, opener), TCP_STATE.TIME_WAIT),
          remembered: {
            tsval: ended.tsval,
            age_s: Math.round((syn_ns - ended.time_ns) / NS_PER_S),
          },
        },
      },
      connection,
    );
    return true;
  }
}

function isBareAck({ flags, payload_len }: Segment): boolean {
  const said = flags & (TCP_FLAG.ack | TCP_FLAG.fin | TCP_FLAG.syn | TCP_FLAG.rst);
  return said === TCP_FLAG.ack && payload_len === 0;
}
