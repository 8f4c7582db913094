// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../tcp/flags.ts';
import { next } from '../tcp/sequence.ts';
import { TCP_STATE } from '../tcp/states.ts';
import { Closed, Connection } from './connection.ts';
import { DoubtedResets } from './doubted-resets.ts';
import { Elsewhere } from './elsewhere.ts';
import { otherSide } from './ends.ts';
import { Followed } from './followed.ts';
import { goesOn } from './goes-on.ts';
import { note } from './history.ts';
import { withKnown } from './known.ts';
import { bareSock, type Emit, flowOf, packetOf, sockOf } from './messages.ts';
import { OldStamps } from './old-stamps.ts';
import { Resets } from './resets.ts';
import { isCopy, Kept, type Segment } from './segment.ts';
import { ShownPeers } from './shown-peers.ts';
import { ShutWindows, shutFrom } from './shut-windows.ts';
import { type Refused, Stamps } from './stamps.ts';
import { UnansweredData } from './unanswered-data.ts';
import { UnansweredSyns } from './unanswered-syns.ts';
import { Unreachable } from './unreachable.ts';
import { Upstreams } from './upstreams.ts';
import { Vantage } from './vantage.ts';

/** A reset that answers comes sooner. */
const ANSWER_NS = 1e9;

/**
 * Follows connections through a capture, and tells what their packets prove, as events that a kernel would
 * have told it by. What only may be so is not told. `time_ns` never goes back.
 */
export class Follower {
  readonly #emit: Emit;
  readonly #followed: Followed;
  readonly #stamps: Stamps;
  readonly #old: OldStamps;
  readonly #unanswered_syns: UnansweredSyns;
  readonly #unanswered_data: UnansweredData;
  readonly #unreachable: Unreachable;
  readonly #elsewhere: Elsewhere;
  readonly #shown: ShownPeers;
  readonly #doubted: DoubtedResets;
  readonly #shut: ShutWindows;
  readonly #upstreams: Upstreams;
  readonly #resets: Resets;
  readonly vantage = new Vantage();
  segments = 0;

  /** With the hash of an end, as those of segments have it. */
  constructor(tell: Emit, hash: (end: string) => number) {
    this.#followed = new Followed(hash);
    const emit = withKnown(tell);
    this.#emit = emit;
    this.#old = new OldStamps(emit);
    this.#stamps = new Stamps((refused) => this.#recycled(refused));
    this.#unanswered_syns = new UnansweredSyns(emit, this.vantage, this.#stamps);
    this.#unanswered_data = new UnansweredData(emit, this.vantage);
    this.#unreachable = new Unreachable(emit);
    this.#elsewhere = new Elsewhere(emit, this.#followed);
    this.#shown = new ShownPeers(emit, this.#followed);
    this.#doubted = new DoubtedResets(emit);
    this.#shut = new ShutWindows(emit);
    this.#upstreams = new Upstreams(emit);
    this.#resets = new Resets(emit, {
      stamps: this.#stamps,
      unanswered_data: this.#unanswered_data,
      unreachable: this.#unreachable,
      elsewhere: this.#elsewhere,
      doubted: this.#doubted,
      shut: this.#shut,
      upstreams: this.#upstreams,
    });
  }

  take(segment: Segment, time_ns: number): void {
    this.advance(time_ns);
    if (segment.what === 'gap') {
      this.#forget();
      return;
    }
    if (segment.what === 'icmp') {
      this.#icmpError(segment, time_ns);
      return;
    }
    this.segments++;
    const known = this.#followed.of(segment);
    // Who keeps a copy of it keeps no other ends.
    if (known) segment.ends = known.ends;
    const connection = known instanceof Closed ? undefined : known;
    const me = connection?.end(segment.side);
    const last = me?.last;
    if ((segment.flags & TCP_FLAG.syn) === 0 && (!last || last.flags & TCP_FLAG.syn))
      this.#unanswered_syns.hear(segment);
    if (last && isCopy(last, segment, time_ns - me.last_ns)) {
      if (connection && (last.outgoing !== segment.outgoing || last.ttl !== segment.ttl))
        connection.forwarded = true;
      me.heardAgain(segment);
      return;
    }
    if (segment.toa && connection && segment.side === connection.opener)
      connection.toa ??= segment.toa;
    if (segment.flags & TCP_FLAG.syn) this.#syn(known, segment, time_ns);
    else if (segment.flags & TCP_FLAG.rst) this.#resets.take(known, segment, time_ns);
    else if (connection || !known) this.#other(connection, segment, time_ns);
  }

  /** What comes now was captured any time after that. */
  clockSetBack(time_ns: number): void {
    this.#resets.clockSetBack(time_ns);
  }

  /** Time goes on, whether or not segments come. */
  advance(time_ns: number): void {
    this.#stamps.advance(time_ns);
    this.#unreachable.advance(time_ns);
    this.#unanswered_syns.advance(time_ns);
    this.#unanswered_data.advance(time_ns);
  }

  /** The capture ends: what its time did not suffice for is told where only a loss could gainsay it. */
  finish(): void {
    this.#unreachable.finish();
    this.#unanswered_syns.finish();
    this.#unanswered_data.finish();
  }

  // --- handshakes

  #syn(known: Connection | Closed | undefined, segment: Segment, time_ns: number): void {
    if (segment.flags & TCP_FLAG.rst) return;
    if (segment.flags & TCP_FLAG.ack) this.#synAck(known, segment, time_ns);
    else this.#firstSyn(known, segment, time_ns);
  }

  #firstSyn(found: Connection | Closed | undefined, segment: Segment, time_ns: number): void {
    if (found instanceof Closed) {
      this.#begin(segment, time_ns).before = found.remembered;
      return;
    }
    const known = found;
    const { side } = segment;
    const me = known?.end(side);
    if (known && me && known.opener === side && me.isn === segment.seq) {
      known.syns++;
      known.syn_ns = time_ns;
      me.heard(segment, time_ns);
      this.#elsewhere.dialledAgain(known, time_ns);
      this.#unanswered_syns.again(known, time_ns);
      return;
    }
    const answered = known !== undefined && known.end(otherSide(side)).last !== null;
    if (known && !known.over && (answered || known.opener === null)) {
      if (known.contender?.seg.seq !== segment.seq) note(known, segment);
      known.contender = { seg: Kept.of(segment), time_ns };
      known.contested = true;
      return;
    }
    const connection = this.#begin(segment, time_ns);
    connection.contested = known !== undefined && !isDone(known);
  }

  #begin(segment: Segment, time_ns: number): Connection {
    const connection = new Connection(segment, time_ns);
    const me = connection.end(segment.side);
    connection.opener = segment.side;
    connection.syns = 1;
    connection.syn_ns = time_ns;
    connection.syn = Kept.of(segment);
    connection.mptcp = segment.mptcp !== null;
    connection.toa = segment.toa;
    note(connection, segment);
    me.isn = segment.seq;
    me.next = (segment.seq + 1) >>> 0;
    me.ttl = segment.ttl;
    me.device = segment.device;
    me.scale = segment.scale;
    me.scale_cut = segment.options_cut && segment.scale === null;
    me.window = segment.window;
    me.stamps(segment, time_ns);
    me.heard(segment, time_ns);
    this.#followed.keep(connection, segment);
    connection.answered_before = this.#unanswered_syns.answers(
      connection.at(otherSide(segment.side)),
    );
    this.#stamps.syn(connection, connection.syn, time_ns);
    this.#upstreams.dialled(connection, time_ns);
    return connection;
  }

  #synAck(known: Connection | Closed | undefined, segment: Segment, time_ns: number): void {
    const { side, ack, seq } = segment;
    const contender = known?.contender;
    let connection = known instanceof Closed ? undefined : known;
    if (contender && contender.seg.side !== side && ack === next(contender.seg.seq)) {
      connection = this.#begin(contender.seg, contender.time_ns);
      connection.contested = true;
    }
    if (connection?.itself) {
      this.#selfConnect(connection, segment, time_ns);
      return;
    }
    const client = connection?.end(otherSide(side));
    const answers = connection?.opener === otherSide(side) && client?.isn != null;
    if (!connection || !answers || connection.over) {
      if (!connection || connection.over) this.#elsewhere.synAck(segment);
      return;
    }
    note(connection, segment);
    if (ack !== next(client.isn ?? 0)) {
      connection.torn = true;
      return;
    }
    const me = connection.end(side);
    const isAgain = me.isn !== null;
    if (client) client.again_since_heard = 0;
    if (client) client.waits = false;
    // Another one answers, or this one anew.
    if (me.isn !== null && me.isn !== seq) connection.contested = true;
    me.isn = seq;
    me.next = next(seq);
    me.ttl = segment.ttl;
    me.device = segment.device;
    me.scale = segment.scale;
    me.scale_cut = segment.options_cut && segment.scale === null;
    me.window = segment.window;
    me.stamps(segment, time_ns);
    if (segment.window === 0) me.shut ??= shutFrom(time_ns);
    me.heard(segment, time_ns);
    if (segment.mptcp !== null) connection.mptcp = true;
    this.#unreachable.answered(connection);
    this.#stamps.answered(connection, time_ns);
    if (!isAgain) this.#unanswered_syns.answeredAt(connection.at(side));
  }

  /** Of a connect that found itself: its own SYN-ACK answers its SYN. */
  #selfConnect(connection: Connection, segment: Segment, time_ns: number): void {
    if (connection.reset || connection.syn?.seq !== segment.seq) return;
    if (segment.ack !== next(segment.seq)) return;
    connection.reset = true;
    this.#emit(
      time_ns,
      {
        state_change: {
          old_state: TCP_STATE.SYN_SENT,
          new_state: TCP_STATE.SYN_RECV,
          sock: bareSock(
            flowOf(connection.key, 0, connection.opener),
            TCP_STATE.SYN_RECV,
            TCP_STATE.SYN_SENT,
          ),
        },
      },
      connection,
    );
  }

  // --- everything else

  #other(connection: Connection | undefined, segment: Segment, time_ns: number): void {
    if (!connection) {
      this.#elsewhere.crossed(connection, segment, time_ns);
      this.#upstreams.heard(null, segment, time_ns);
      return;
    }
    if (connection.over) return;
    if (goesOn(connection, segment) && !this.#doubted.of(connection)) {
      connection.follow(segment, time_ns);
      if (!connection.is_asking) this.#upstreams.heard(connection, segment, time_ns);
      return;
    }
    note(connection, segment);
    if (this.#old.ofEnded(connection, segment, time_ns)) return;
    this.#challenged(connection, segment, time_ns);
    this.#old.take(connection, segment, time_ns);
    const doubted = this.#doubted.of(connection);
    if (segment.mptcp !== null) connection.mptcp = true;
    const was_open = connection.open;
    const had_opened = connection.client?.opened;
    const synAck_ns = connection.server?.last_ns ?? 0;
    connection.follow(segment, time_ns);
    this.#unanswered_data.sent(connection, segment, time_ns);
    if (connection.client?.opened && !had_opened) connection.opened_ns = time_ns;
    this.#shut.take(connection, segment, time_ns);
    this.#upstreams.heard(connection, segment, time_ns);
    if (connection.client?.opened && !had_opened && connection.syns === 1 && connection.whole)
      this.vantage.handshake(connection, connection.syn_ns, synAck_ns, time_ns);
    if (connection.open && connection.whole && (!was_open || connection.toa))
      this.#shown.opened(connection, time_ns);
    if (doubted && doubted.segment.side === segment.side)
      this.#doubted.disbelieved(connection, doubted, time_ns);
    if (!connection.closed) return;
    if (connection.whole) this.#stamp(connection, time_ns);
    const sure = connection.whole && !connection.contested;
    const remembered = sure ? OldStamps.remembered(connection, time_ns) : null;
    this.#followed.ended(connection, segment, remembered);
    this.#upstreams.ended(connection);
    connection.release();
  }

  /** A SYN on an open connection that is answered with an ACK of that one. */
  #challenged(connection: Connection, segment: Segment, time_ns: number): void {
    const { contender } = connection;
    if (!contender || contender.seg.side === segment.side) return;
    connection.contender = null;
    if (!connection.whole || !connection.open || connection.mptcp) return;
    if (contender.seg.side !== connection.opener) return;
    const peer = connection.end(contender.seg.side);
    if (time_ns - contender.time_ns > ANSWER_NS || segment.payload_len > 0) return;
    if (!(segment.flags & TCP_FLAG.ack) || segment.ack !== peer.next) return;
    const state = peer.fin ? TCP_STATE.CLOSE_WAIT : TCP_STATE.ESTABLISHED;
    this.#emit(
      contender.time_ns,
      {
        drop: {
          packet: packetOf(contender.seg, connection.opener),
          sock: sockOf(connection, segment.side, state),
          peer_isn: peer.isn ?? 0,
        },
      },
      connection,
    );
  }

  #stamp(connection: Connection, time_ns: number): void {
    const last = connection.client?.last;
    if (last?.has_timestamps) this.#stamps.remember(connection, last.tsval, time_ns);
  }

  /** By a server with tcp_tw_recycle: nothing else looks at timestamps of other connections. */
  #recycled({ syn, time_ns, tsval, age_s }: Refused): void {
    this.#emit(time_ns, {
      syn_received: {
        packet: packetOf(syn, syn.side),
        mib: { paws_passive: 1, listen_drops: 1, mixed: 1 },
        remembered: { tsval, age_s },
      },
    });
  }

  #icmpError(segment: Segment, time_ns: number): void {
    const connection = this.#followed.of(segment);
    if (!connection || connection instanceof Closed) return;
    if (connection.over || connection.contested) return;
    this.#stamps.drop(connection);
    connection.answered_otherwise = true;
    this.#unreachable.error(connection, segment, time_ns);
  }

  /** Packets are missing: what is known of connections may be wrong. */
  #forget(): void {
    this.#followed.clear();
    this.#doubted.clear();
    this.#elsewhere.clear();
    this.#shown.clear();
    this.#stamps.clear();
    this.#unreachable.clear();
    this.#unanswered_syns.clear();
    this.#unanswered_data.clear();
    this.#upstreams.clear();
  }
}

/** Nothing of it can be there any more: it was reset while it was open, refused, or never answered. */
function isDone({ reset, open, server }: Connection): boolean {
  return (reset && open) || server?.last === null;
}
