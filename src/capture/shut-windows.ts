// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../tcp/flags.ts';
import { next } from '../tcp/sequence.ts';
import { STALLED_MS } from '../tcp/stall.ts';
import type { Connection } from './connection.ts';
import type { End, Shut } from './end.ts';
import { otherSide, type Side } from './ends.ts';
import { type Emit, flowOf } from './messages.ts';
import type { Segment } from './segment.ts';

const NS_PER_MS = 1e6;
/** Probes of a window are sent after twice the time each, but for delays; those of an idle connection after the same. */
const LATER = 1.5;
/** So often in a row that a probe which was not captured makes no other of them. */
const LATER_TIMES = 2;
/** Others than Linux ask by a byte that there is no room for. */
const BYTE = 1;

export const ENDED = { open: 1, by_receiver: 2, by_sender: 3 } as const;

/** Ends that have no room for what the other end waits to send, and say so when they are asked. */
export class ShutWindows {
  readonly #emit: Emit;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  /** A segment of an open connection, which has been followed. */
  take(connection: Connection, segment: Segment, time_ns: number): void {
    const { side, flags, window } = segment;
    const me = connection.end(side);
    const peer = connection.end(otherSide(side));
    if (window > 0 && !me.shut && !peer.shut) return;
    if (flags & TCP_FLAG.ack) {
      if (window > 0) this.#opens(connection, side, me, time_ns);
      else if (me.shut) this.#answers(connection, side, me.shut, time_ns);
      else me.shut = shutFrom(time_ns);
    }
    if (peer.shut && isProbe(segment, me, peer)) ask(peer.shut, segment, time_ns);
  }

  /** It ends by a reset of this side. */
  reset(connection: Connection, by: Side, time_ns: number): void {
    for (const side of [0, 1] as const)
      this.#ends(connection, side, by === side ? ENDED.by_receiver : ENDED.by_sender, time_ns);
  }

  #opens(connection: Connection, side: Side, me: End, time_ns: number): void {
    if (!me.shut) return;
    const stalled = isStalled(me.shut, time_ns);
    this.#ends(connection, side, ENDED.open, time_ns);
    if (stalled) me.was_shut = true;
  }

  #answers(connection: Connection, side: Side, shut: Shut, time_ns: number): void {
    if (shut.asked_ns === 0 || shut.answered) return;
    shut.answered = true;
    shut.probes++;
    if (isStalled(shut, time_ns)) this.#tell(connection, side, shut, time_ns);
  }

  #ends(connection: Connection, side: Side, how: number, time_ns: number): void {
    const me = connection.end(side);
    const { shut } = me;
    if (!shut) return;
    me.shut = null;
    if (isStalled(shut, time_ns)) this.#tell(connection, side, shut, time_ns, how);
  }

  #tell(connection: Connection, side: Side, shut: Shut, time_ns: number, ended = 0): void {
    if (!connection.whole || connection.contested || connection.mptcp) return;
    if (!connection.client?.opened) return;
    const { told } = shut;
    shut.told = true;
    const me = connection.end(side);
    const { isn } = connection.end(otherSide(side));
    const taken = me.acked !== null && isn !== null && me.acked !== next(isn);
    this.#emit(
      time_ns,
      {
        window_shut: {
          flow: flowOf(connection.key, otherSide(side), connection.opener),
          shut_ms: Math.round((time_ns - shut.since_ns) / NS_PER_MS),
          probes: shut.probes,
          never_open: taken ? 0 : 1,
          again: me.was_shut ? 1 : 0,
          ended,
          told: told ? 1 : 0,
        },
      },
      connection,
    );
  }
}

export function shutFrom(time_ns: number): Shut {
  return {
    ...{ since_ns: time_ns, asked_ns: 0, gap_ns: 0, answered: false },
    ...{ later: 0, waits: false, probes: 0, told: false },
  };
}

/** It has been shut for so long that this is told, while the other end has something to send, and was answered. */
function isStalled({ since_ns, waits, probes }: Shut, time_ns: number): boolean {
  return waits && probes > 0 && time_ns - since_ns >= STALLED_MS * NS_PER_MS;
}

/** It asks for room: by the number before the one that comes next, or by the one byte that does. */
function isProbe({ seq, payload_len, flags }: Segment, me: End, { acked }: End): boolean {
  const due = acked ?? next(me.isn ?? 0);
  if (payload_len === BYTE) return seq === due;
  return payload_len === 0 && (flags & TCP_FLAG.fin) === 0 && next(seq) === due;
}

function ask(shut: Shut, { payload_len }: Segment, time_ns: number): void {
  const gap_ns = shut.asked_ns === 0 ? 0 : time_ns - shut.asked_ns;
  shut.later = shut.gap_ns > 0 && gap_ns >= LATER * shut.gap_ns ? shut.later + 1 : 0;
  if (payload_len === BYTE || shut.later >= LATER_TIMES) shut.waits = true;
  shut.asked_ns = time_ns;
  shut.gap_ns = gap_ns;
  shut.answered = false;
}
