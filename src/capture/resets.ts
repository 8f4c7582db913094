// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../tcp/flags.ts';
import { next } from '../tcp/sequence.ts';
import { TCP_STATE } from '../tcp/states.ts';
import type { ResetCaptured } from '../wire/types.gen.ts';
import { Closed, type Connection } from './connection.ts';
import type { DoubtedResets } from './doubted-resets.ts';
import type { Elsewhere } from './elsewhere.ts';
import { type End, isSameWay } from './end.ts';
import { isV4, otherSide } from './ends.ts';
import { note } from './history.ts';
import { bareSock, type Emit, flowOf, packetOf, sockOf } from './messages.ts';
import { macOf, type Segment, UNKNOWN_SUBTYPE } from './segment.ts';
import type { ShutWindows } from './shut-windows.ts';
import type { Stamps } from './stamps.ts';
import type { UnansweredData } from './unanswered-data.ts';
import type { Unreachable } from './unreachable.ts';
import type { Upstreams } from './upstreams.ts';

/** Entries of connection tracking live for a second at least: before that none was forgotten. */
const AT_ONCE_NS = 0.9e9;
/** A reset that answers comes sooner. */
const ANSWER_NS = 1e9;
/** MP_JOIN: a further connection of one of MPTCP's, which is refused for other reasons. */
const MP_JOIN: ReadonlySet<number | null> = new Set([1, UNKNOWN_SUBTYPE]);
const NS_PER_MS = 1e6;

/** Who else has to know of a reset, or knows more of it. */
interface Others {
  stamps: Stamps;
  unanswered_data: UnansweredData;
  unreachable: Unreachable;
  elsewhere: Elsewhere;
  doubted: DoubtedResets;
  shut: ShutWindows;
  upstreams: Upstreams;
}

/** What a reset is the answer to, and whether it ends its connection. */
export class Resets {
  readonly #emit: Emit;
  readonly #others: Others;
  /** What came until then may have come long before what came after. */
  #set_back_ns = Number.NEGATIVE_INFINITY;

  constructor(emit: Emit, others: Others) {
    this.#emit = emit;
    this.#others = others;
  }

  clockSetBack(time_ns: number): void {
    this.#set_back_ns = time_ns;
  }

  take(known: Connection | Closed | undefined, segment: Segment, time_ns: number): void {
    const connection = known instanceof Closed ? undefined : known;
    if (connection) this.#others.stamps.drop(connection);
    if (this.#others.elsewhere.isAnswered(segment, time_ns)) return;
    if (!connection || connection.over || connection.itself) {
      if (!this.#others.elsewhere.crossed(connection, segment, time_ns) && !known)
        this.#others.elsewhere.reset(segment);
      return;
    }
    const { side } = segment;
    // It ends what its ends had before.
    if (connection.before?.client_next === segment.seq && connection.opener === side) return;
    const me = connection.end(side);
    const peer = connection.end(otherSide(side));
    note(connection, segment);
    connection.reset_captured = me.last && besideLast(segment, me, me.last);
    if (segment.seq === me.next) {
      this.#others.unanswered_data.reset(connection, side);
      this.#others.shut.reset(connection, side, time_ns);
    }
    if (me.last === null && connection.opener === otherSide(side)) {
      this.#refused(connection, segment, time_ns);
      return;
    }
    if (connection.opener === side && !me.opened) {
      this.#requestReset(connection, segment, time_ns);
      return;
    }
    if (!connection.whole || connection.contested || connection.mptcp || segment.mptcp !== null) {
      connection.reset = true;
      return;
    }
    if (segment.seq !== me.next) {
      if (!this.#others.elsewhere.crossed(connection, segment, time_ns))
        this.#others.doubted.doubt(connection, segment, peer, time_ns);
      return;
    }
    if (connection.open && me.pieces.length === 0) this.#byPeer(connection, segment, time_ns);
    connection.reset = true;
  }

  /** The answer to a SYN. */
  #refused(connection: Connection, segment: Segment, time_ns: number): void {
    const client = otherSide(segment.side);
    const { isn } = connection.end(client);
    const answers = segment.flags & TCP_FLAG.ack && isn !== null && segment.ack === next(isn);
    if (!answers || segment.seq !== 0) {
      if (this.#others.elsewhere.crossed(connection, segment, time_ns)) return;
      connection.contested = true;
      return;
    }
    connection.reset = true;
    this.#others.unreachable.answered(connection);
    if (
      connection.contested ||
      MP_JOIN.has(connection.syn?.mptcp ?? null) ||
      segment.mptcp !== null
    )
      return;
    this.#others.upstreams.refused(connection, time_ns);
    this.#emit(
      time_ns,
      {
        reset_received: {
          sock: sockOf(connection, client, TCP_STATE.SYN_SENT),
          packet: packetOf(segment, connection.opener),
        },
      },
      connection,
    );
  }

  /** The answer to a SYN-ACK. */
  #requestReset(connection: Connection, segment: Segment, time_ns: number): void {
    const server = otherSide(segment.side);
    const { isn, last } = connection.end(server);
    const fits = segment.seq === connection.end(segment.side).next;
    connection.reset = true;
    if (!fits || isn === null || !last || connection.contested || connection.torn) return;
    if (connection.mptcp || segment.mptcp !== null) return;
    if (segment.flags & TCP_FLAG.ack && segment.ack !== next(isn)) return;
    const [elsewhere] = this.#others.elsewhere.sameDial(connection);
    if (elsewhere) {
      this.#others.elsewhere.wrongSource(elsewhere, last, time_ns);
      return;
    }
    this.#emit(
      time_ns,
      {
        drop: {
          packet: packetOf(segment, connection.opener),
          sock: bareSock(flowOf(connection.key, server, connection.opener), TCP_STATE.LISTEN),
        },
      },
      connection,
    );
  }

  /** A reset of an open connection that the other end believes. */
  #byPeer(connection: Connection, segment: Segment, time_ns: number): void {
    const { side } = segment;
    const peer = otherSide(side);
    const [me, other] = [connection.end(side), connection.end(peer)];
    // It waited for an answer that did not come: it gave up, for a reason of its own.
    if (me.again_since_heard > 0) return;
    if (me.fin) {
      this.#afterClose(connection, segment, time_ns);
      return;
    }
    if (connection.opener === peer) {
      this.#others.upstreams.reset(connection, time_ns);
      this.#others.upstreams.givenUp(connection, segment, time_ns);
    }
    const packet = packetOf(segment, connection.opener);
    const state = other.fin ? TCP_STATE.FIN_WAIT1 : TCP_STATE.ESTABLISHED;
    this.#emit(
      time_ns,
      {
        reset_received: {
          sock: sockOf(connection, peer, state),
          packet,
          handshake_ttl: !me.came_otherwise && isComparable(segment, me, me) ? me.ttl : 0,
          silent_ms: Math.round((time_ns - me.last_ns) / NS_PER_MS),
          unused: me.sent_data || other.sent_data ? 0 : 1,
        },
      },
      connection,
    );
  }

  /** Whoever had closed resets what came after. */
  #afterClose(connection: Connection, segment: Segment, time_ns: number): void {
    const { side } = segment;
    const me = connection.end(side);
    const { last_data: data, last_data_ns } = connection.end(otherSide(side));
    if (!me.fin || !data || me.reads_on || segment.flags & TCP_FLAG.ack) return;
    if (me.fin.time_ns <= this.#set_back_ns) return;
    const late = last_data_ns - me.fin.time_ns;
    if (late < 0 || late > AT_ONCE_NS || time_ns - last_data_ns > ANSWER_NS) return;
    if (segment.seq !== data.ack) return;
    this.#emit(
      time_ns,
      {
        reset_sent: {
          packet: packetOf(data, connection.opener),
          sock: {
            ...sockOf(connection, side, TCP_STATE.CLOSE),
            previous_state: TCP_STATE.FIN_WAIT2,
          },
        },
      },
      connection,
    );
  }
}

/** It and what came before were captured at one place; of what came by two, either may be first. */
function isComparable(
  reset: Segment,
  { copy }: End,
  before: { ttl: number; device: number },
): boolean {
  if (reset.device !== before.device) return false;
  return (
    copy === null || copy.ttl === before.ttl || (copy.ttl !== reset.ttl && !isSameWay(copy, reset))
  );
}

/** A reset beside what its sender had sent before. */
function besideLast(reset: Segment, me: End, last: Segment): Partial<ResetCaptured> {
  const [mac, mac_before] = [macOf(reset), macOf(last)];
  const comparable =
    isComparable(reset, me, last) && (!me.came_otherwise || isSameWay(reset, last));
  const other_way = me.came_otherwise || (me.copy !== null && !isSameWay(me.copy, last));
  const same_place = comparable && !other_way;
  return {
    ...(comparable && { ttl: reset.ttl, ttl_before: last.ttl }),
    ...(same_place && mac !== '' && mac_before !== '' && { mac, mac_before }),
    ...(isV4(reset.key) && { has_ip_ids: 1, ip_id: reset.ip_id, ip_id_before: last.ip_id }),
  };
}
