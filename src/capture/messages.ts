// SPDX-License-Identifier: Apache-2.0

import type { Connection } from './connection.ts';
import { addressOf, endOfKey, otherSide, portOf, type Side } from './ends.ts';
import type { Segment } from './segment.ts';

/** In protobuf's JSON form, as encodeEvent() takes it. */
export type Message = { [field: string]: unknown };

/** Takes what was proved: when, the event's body, and which connections it is of. */
export type Emit = (time_ns: number, body: Message, ...of: readonly Connection[]) => void;

const [SERVED_AT_SADDR, SERVED_AT_DADDR] = [1, 2];

/** From one end to the other; `opener` is who dialled, where that is known. */
export function flowOf(key: string, from: Side, opener: Side | null): Message {
  const [source, destination] = [endOfKey(key, from), endOfKey(key, otherSide(from))];
  return {
    saddr: addressOf(source),
    daddr: addressOf(destination),
    sport: portOf(source),
    dport: portOf(destination),
    service: opener === null ? 0 : opener === from ? SERVED_AT_DADDR : SERVED_AT_SADDR,
  };
}

export function packetOf(segment: Segment, opener: Side | null): Message {
  return {
    flow: flowOf(segment.key, segment.side, opener),
    flags: segment.flags,
    seq: segment.seq,
    ack_seq: segment.ack,
    window: segment.window,
    payload_len: segment.payload_len,
    has_timestamps: segment.has_timestamps ? 1 : 0,
    tsval: segment.tsval,
    tsecr: segment.tsecr,
    ttl: segment.ttl,
    ...(segment.toa && { toa: segment.toa }),
  };
}

/** A socket of which no more is known: packets do not tell whose it is. */
export function bareSock(flow: Message, state: number, previous_state = state): Message {
  return { flow, state, previous_state, owner: {} };
}

/** One end of a connection, as its socket would be. */
export function sockOf(connection: Connection, side: Side, state: number): Message {
  const me = connection.end(side);
  const peer = connection.end(otherSide(side));
  return {
    ...bareSock(flowOf(connection.key, side, connection.opener), state),
    snd_nxt: me.next,
    rcv_nxt: me.acked ?? peer.next,
    unacked_bytes: peer.acked === null ? 0 : Math.max(0, (me.next - peer.acked) | 0),
    snd_wnd: peer.window,
  };
}
