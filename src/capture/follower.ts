// SPDX-License-Identifier: Apache-2.0

import { addressText } from '../tcp/address.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import { before, distance } from '../tcp/sequence.ts';
import { TCP_STATE } from '../tcp/states.ts';
import { Connection, type End } from './connection.ts';
import { linuxError } from './icmp.ts';
import { bareSock, flowOf, type Message, packetOf, sockOf } from './messages.ts';
import {
  addressOf,
  addressPart,
  endOf,
  endOfKey,
  keyOfEnds,
  otherSide,
  type Segment,
  type Side,
} from './segment.ts';
import { type Refused, Stamps } from './stamps.ts';
import { Vantage } from './vantage.ts';

/** Connections that are followed at once, at least; twice as many at most. */
const MOST_CONNECTIONS = 32_768;
/** SYNs of one end that wait for an answer: more are not kept. */
const MOST_DIALLED = 16;
/** Connects that an ICMP error has answered, and that may go on: more are not kept. */
const MOST_UNREACHABLE = 4096;
/** The same segment on two devices of one host is so far apart at most. */
const COPY_NS = 5e6;
/** Entries of connection tracking live for a second at least: before that none was forgotten. */
const AT_ONCE_NS = 0.9e9;
/** A reset that answers comes sooner. */
const ANSWER_NS = 1e9;
/** A SYN is sent again after this, and after twice the time from then on. */
const FIRST_RETRY_NS = 1e9;
/** A SYN that no router has passed on. */
const INITIAL_TTL: ReadonlySet<number> = new Set([64, 128, 255]);
/** Its SYNs, over so long a time, are no answer to a loss. */
const MANY_SYNS = 3;
const LONG_NS = 2e9;
const MOST_ENDS = 50_000;
/** MP_JOIN: a further connection of one of MPTCP's, which is refused for other reasons. */
const MP_JOIN = 1;
/** A window further away than any there is. */
const FAR = 1 << 30;

const NS = 1e6;

/** Takes what was proved: when, and the event's body in protobuf's JSON form. */
export type Emit = (time_ns: number, body: Message) => void;

/** A SYN answered by an ICMP error, until it is clear that it was not sent again. */
interface Unreachable {
  connection: Connection;
  segment: Segment;
  /** When the error came. */
  time_ns: number;
  syns: number;
  due_ns: number;
}

/** A reset that the other end may not have believed. */
interface Doubted {
  segment: Segment;
  time_ns: number;
  expected: number;
  window_end: number;
}

/**
 * Follows connections through a capture, and tells what their packets prove, as events that a kernel would
 * have told it by. What only may be so is not told. `time_ns` never goes back.
 */
export class Follower {
  readonly #emit: Emit;
  /** In two generations: what was not seen for a whole one is forgotten. */
  #young = new Map<string, Connection>();
  #old = new Map<string, Connection>();
  /** Connections by the end that dialled: they share its address and port. */
  #dialled = new Map<string, Set<Connection>>();
  readonly #doubted = new Map<Connection, Doubted>();
  #unreachable: Unreachable[] = [];
  /** SYN-ACKs that answer what was dialled elsewhere. */
  readonly #astray = new Map<string, { segment: Segment; dialled: Connection }>();
  /** Open connections by the end that was dialled, and the peer that their client tells. */
  #shown = new Map<string, Connection>();
  /** Ends that answered connects with a SYN-ACK, and how many. */
  readonly #answered = new Map<string, number>();
  /** Addresses that sent anything but SYNs. */
  readonly #heard = new Set<string>();
  #last_heard = '';
  readonly #stamps: Stamps;
  readonly vantage = new Vantage();
  segments = 0;

  constructor(emit: Emit) {
    this.#emit = emit;
    this.#stamps = new Stamps((refused) => this.#recycled(refused));
  }

  take(segment: Segment, time_ns: number): void {
    this.advance(time_ns);
    if (segment.what === 'gap') {
      this.#forget();
      return;
    }
    if (segment.what === 'icmp') {
      this.#icmp(segment, time_ns);
      return;
    }
    this.segments++;
    if ((segment.flags & TCP_FLAG.syn) === 0 && this.#heard.size < MOST_ENDS) this.#hear(segment);
    const connection = this.#find(segment.key);
    const last = connection?.end(segment.side).last;
    if (last && isCopy(last, segment) && time_ns - nsOf(connection, segment.side) < COPY_NS) {
      if (connection && last.outgoing !== segment.outgoing) connection.forwarded = true;
      return;
    }
    if (segment.toa && connection && segment.side === connection.opener)
      connection.toa ??= segment.toa;
    if (segment.flags & TCP_FLAG.syn) this.#syn(connection, segment, time_ns);
    else if (segment.flags & TCP_FLAG.rst) this.#rst(connection, segment, time_ns);
    else this.#other(connection, segment, time_ns);
  }

  /** Asked of every segment: mostly it is known. */
  #hear(segment: Segment): void {
    const address = addressPart(endOfKey(segment.key, segment.side));
    if (address !== this.#last_heard) this.#heard.add(address);
    this.#last_heard = address;
  }

  /** Time goes on, whether or not segments come. */
  advance(time_ns: number): void {
    this.#stamps.advance(time_ns);
    while (this.#unreachable[0] && this.#unreachable[0].due_ns <= time_ns) {
      const one = this.#unreachable.shift();
      if (one) this.#ended(one);
    }
  }

  /** The capture ends: what its time did not suffice for is told where only a loss could gainsay it. */
  finish(): void {
    for (const one of this.#unreachable.splice(0))
      if (isAtClient(one.connection.syn)) this.#ended(one);
  }

  // --- handshakes

  #syn(known: Connection | undefined, segment: Segment, time_ns: number): void {
    if (segment.flags & TCP_FLAG.rst) return;
    if (segment.flags & TCP_FLAG.ack) this.#synAck(known, segment, time_ns);
    else this.#firstSyn(known, segment, time_ns);
  }

  #firstSyn(known: Connection | undefined, segment: Segment, time_ns: number): void {
    const { side } = segment;
    const me = known?.end(side);
    if (known && me && known.opener === side && me.isn === segment.seq) {
      known.syns++;
      known.syn_ns = time_ns;
      me.last = segment;
      me.last_ns = time_ns;
      this.#refusedElsewhere(known, time_ns);
      this.#unanswered(known, time_ns);
      return;
    }
    const answered = known !== undefined && known.end(otherSide(side)).last !== null;
    if (known && !known.over && (answered || known.opener === null)) {
      known.contender = { seg: segment, time_ns };
      known.contested = true;
      return;
    }
    const connection = this.#begin(segment, time_ns);
    connection.contested = known !== undefined && !isDone(known);
  }

  /** Not even a reset: why, packets do not tell. */
  #unanswered(connection: Connection, time_ns: number): void {
    const { key, opener, began_ns, syns, syn, server } = connection;
    if (opener === null || connection.told_unanswered || connection.over) return;
    const waited_ns = time_ns - began_ns;
    if (syns < MANY_SYNS || waited_ns < LONG_NS || connection.contested) return;
    if (server?.last || connection.answered_otherwise || isItself(connection)) return;
    connection.told_unanswered = true;
    const dialled = endOfKey(key, otherSide(opener));
    const answered = (this.#answered.get(dialled) ?? 0) - connection.answered_before;
    this.#emit(time_ns, {
      unanswered: {
        flow: flowOf(key, opener, opener),
        syns,
        waited_ms: Math.round(waited_ns / NS),
        taken_at: this.#takenAt(connection, syn),
        heard: this.#heard.has(addressPart(dialled)) ? 1 : 0,
        answered: Math.max(0, answered),
      },
    });
  }

  /** 1 at the end that dialled, 2 at the other one, 0 where that is not known. */
  #takenAt({ key, opener, forwarded }: Connection, syn: Segment | null): number {
    if (opener === null || forwarded) return 0;
    if (syn?.outgoing != null) return syn.outgoing ? 1 : 2;
    const { addresses } = this.vantage.result();
    const at = (side: Side) => addresses.includes(addressText(addressOf(endOfKey(key, side))));
    return at(opener) ? 1 : at(otherSide(opener)) ? 2 : 0;
  }

  /** Somebody is there, and takes connections. */
  #answeredAt(end: string): void {
    if (this.#answered.size >= MOST_ENDS || this.#heard.size >= MOST_ENDS) {
      this.#answered.clear();
      this.#heard.clear();
    }
    this.#answered.set(end, (this.#answered.get(end) ?? 0) + 1);
  }

  #begin(segment: Segment, time_ns: number): Connection {
    const connection = new Connection(segment.key, time_ns);
    const me = connection.end(segment.side);
    connection.opener = segment.side;
    connection.syns = 1;
    connection.syn_ns = time_ns;
    connection.syn = segment;
    connection.mptcp = segment.mptcp !== null;
    connection.toa = segment.toa;
    me.isn = segment.seq;
    me.next = (segment.seq + 1) >>> 0;
    me.ttl = segment.ttl;
    me.scale = segment.scale;
    me.window = segment.window;
    me.last = segment;
    me.last_ns = time_ns;
    this.#keep(connection);
    connection.answered_before =
      this.#answered.get(endOfKey(connection.key, otherSide(segment.side))) ?? 0;
    this.#stamps.syn(connection, segment, time_ns);
    return connection;
  }

  #synAck(known: Connection | undefined, segment: Segment, time_ns: number): void {
    const { side, ack, seq } = segment;
    const contender = known?.contender;
    let connection = known;
    if (contender && contender.seg.side !== side && ack === next(contender.seg.seq)) {
      connection = this.#begin(contender.seg, contender.time_ns);
      connection.contested = true;
    }
    if (connection && isItself(connection)) {
      this.#selfConnect(connection, segment, time_ns);
      return;
    }
    const client = connection?.end(otherSide(side));
    const answers = connection?.opener === otherSide(side) && client?.isn != null;
    if (!connection || !answers || connection.over) {
      if (!connection || connection.over) this.#stray(segment);
      return;
    }
    if (ack !== next(client.isn ?? 0)) {
      connection.torn = true;
      return;
    }
    const me = connection.end(side);
    const isAgain = me.isn !== null;
    // Another one answers, or this one anew.
    if (me.isn !== null && me.isn !== seq) connection.contested = true;
    me.isn = seq;
    me.next = next(seq);
    me.ttl = segment.ttl;
    me.scale = segment.scale;
    me.window = segment.window;
    me.last = segment;
    me.last_ns = time_ns;
    if (segment.mptcp !== null) connection.mptcp = true;
    this.#drop(connection);
    this.#stamps.answered(connection, time_ns);
    if (!isAgain) this.#answeredAt(endOfKey(segment.key, side));
  }

  /** Of a connect that found itself: its own SYN-ACK answers its SYN. */
  #selfConnect(connection: Connection, segment: Segment, time_ns: number): void {
    if (connection.reset || connection.syn?.seq !== segment.seq) return;
    if (segment.ack !== next(segment.seq)) return;
    connection.reset = true;
    this.#emit(time_ns, {
      state_change: {
        old_state: TCP_STATE.SYN_SENT,
        new_state: TCP_STATE.SYN_RECV,
        sock: bareSock(
          flowOf(connection.key, 0, connection.opener),
          TCP_STATE.SYN_RECV,
          TCP_STATE.SYN_SENT,
        ),
      },
    });
  }

  /** A SYN-ACK for no connect to its sender: the connect of the same end that it answers is looked for. */
  #stray(segment: Segment): void {
    const dialled = this.#dialledBy(endOfKey(segment.key, otherSide(segment.side)));
    for (const connection of dialled) {
      const { syn } = connection;
      if (!syn || connection.over || connection.contested || connection.server?.last) continue;
      if (connection.key === segment.key || next(syn.seq) !== segment.ack) continue;
      if (this.#astray.size >= MOST_CONNECTIONS) this.#astray.clear();
      this.#astray.set(segment.key, { segment, dialled: connection });
      connection.answered_otherwise = true;
      return;
    }
  }

  /** A reset for no connect to its sender: the connect of the same end that it answers is looked for. */
  #strayReset(segment: Segment): void {
    if (!(segment.flags & TCP_FLAG.ack) || segment.seq !== 0) return;
    for (const connection of this.#dialledBy(endOfKey(segment.key, otherSide(segment.side)))) {
      const { syn } = connection;
      if (!syn || connection.over || connection.contested || connection.server?.last) continue;
      if (connection.mptcp || connection.syns > 1 || next(syn.seq) !== segment.ack) continue;
      connection.refused_by = segment;
      connection.answered_otherwise = true;
      return;
    }
  }

  /** The client did not believe the reset, or did not get it: it asks again. */
  #refusedElsewhere(connection: Connection, time_ns: number): void {
    const { refused_by, opener } = connection;
    if (!refused_by || opener === null || connection.over || connection.server?.last) return;
    connection.refused_by = null;
    this.#emit(time_ns, {
      crossed_reply: {
        packet: packetOf(refused_by, otherSide(refused_by.side)),
        fits: sockOf(connection, opener, TCP_STATE.SYN_SENT),
      },
    });
  }

  // --- resets

  #rst(connection: Connection | undefined, segment: Segment, time_ns: number): void {
    if (connection) this.#stamps.drop(connection);
    if (this.#answeredAstray(segment, time_ns)) return;
    if (!connection || connection.over || isItself(connection)) {
      if (!this.#crossed(connection, segment, time_ns) && !connection) this.#strayReset(segment);
      return;
    }
    const { side } = segment;
    const me = connection.end(side);
    const peer = connection.end(otherSide(side));
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
      if (!this.#crossed(connection, segment, time_ns))
        this.#doubt(connection, segment, peer, time_ns);
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
      if (this.#crossed(connection, segment, time_ns)) return;
      connection.contested = true;
      return;
    }
    connection.reset = true;
    this.#drop(connection);
    if (connection.contested || connection.syn?.mptcp === MP_JOIN || segment.mptcp !== null) return;
    this.#emit(time_ns, {
      reset_received: {
        sock: sockOf(connection, client, TCP_STATE.SYN_SENT),
        packet: packetOf(segment, connection.opener),
      },
    });
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
    const [elsewhere] = this.#sameDial(connection);
    if (elsewhere) {
      this.#wrongSource(elsewhere, last, time_ns);
      return;
    }
    this.#emit(time_ns, {
      drop: {
        packet: packetOf(segment, connection.opener),
        sock: bareSock(flowOf(connection.key, server, connection.opener), TCP_STATE.LISTEN),
      },
    });
  }

  /** Connects with the very same SYN to another end, which did not answer. */
  *#sameDial(connection: Connection): Generator<Connection> {
    if (connection.opener === null) return;
    for (const other of this.#dialledBy(endOfKey(connection.key, connection.opener))) {
      if (other === connection || other.over || other.server?.last) continue;
      if (other.syn?.seq === connection.syn?.seq) yield other;
    }
  }

  /** The client resets who answered in place of whom it had dialled. */
  #answeredAstray(segment: Segment, time_ns: number): boolean {
    const astray = this.#astray.get(segment.key);
    if (!astray || segment.side === astray.segment.side) return false;
    if (segment.seq !== astray.segment.ack) return false;
    this.#astray.delete(segment.key);
    this.#wrongSource(astray.dialled, astray.segment, time_ns);
    return true;
  }

  #wrongSource(dialled: Connection, synAck: Segment, time_ns: number): void {
    const client = dialled.opener ?? 0;
    this.#emit(time_ns, {
      reset_sent: {
        packet: packetOf(synAck, otherSide(synAck.side)),
        dialled: sockOf(dialled, client, TCP_STATE.SYN_SENT),
      },
    });
  }

  /** A reset of an open connection that the other end believes. */
  #byPeer(connection: Connection, segment: Segment, time_ns: number): void {
    const { side } = segment;
    const peer = otherSide(side);
    const [me, other] = [connection.end(side), connection.end(peer)];
    // It waited for an answer that did not come: it gave up, for a reason of its own.
    if (me.unanswered > 0) return;
    if (me.fin) {
      this.#afterClose(connection, segment, time_ns);
      return;
    }
    const packet = packetOf(segment, connection.opener);
    const state = other.fin ? TCP_STATE.FIN_WAIT1 : TCP_STATE.ESTABLISHED;
    this.#emit(time_ns, {
      reset_received: {
        sock: sockOf(connection, peer, state),
        packet,
        handshake_ttl: me.ttl,
        silent_ms: Math.round((time_ns - me.last_ns) / NS),
        unused: me.sent_data || other.sent_data ? 0 : 1,
      },
    });
  }

  /** Whoever had closed resets what came after. */
  #afterClose(connection: Connection, segment: Segment, time_ns: number): void {
    const { side } = segment;
    const me = connection.end(side);
    const data = connection.end(otherSide(side)).last_data;
    if (!me.fin || !data || me.reads_on || segment.flags & TCP_FLAG.ack) return;
    const late = data.time_ns - me.fin.time_ns;
    if (late < 0 || late > AT_ONCE_NS || time_ns - data.time_ns > ANSWER_NS) return;
    if (segment.seq !== data.seg.ack) return;
    this.#emit(time_ns, {
      reset_sent: {
        packet: packetOf(data.seg, connection.opener),
        sock: {
          ...sockOf(connection, side, TCP_STATE.CLOSE),
          previous_state: TCP_STATE.FIN_WAIT2,
        },
      },
    });
  }

  /** Whether it fits another connection of the same end that dialled, and then tells so. */
  #crossed(known: Connection | undefined, segment: Segment, time_ns: number): boolean {
    const end = endOfKey(segment.key, otherSide(segment.side));
    for (const other of this.#dialledBy(end)) {
      if (other.key === segment.key || other.over || !other.whole || other.contested) continue;
      const [client, server] = [other.client, other.server];
      if (!client?.opened || !server) continue;
      if (segment.seq !== server.next || server.pieces.length > 0) continue;
      if (segment.flags & TCP_FLAG.ack && !isAcknowledging(segment, client, server)) continue;
      this.#emit(time_ns, {
        crossed_reply: {
          packet: packetOf(segment, otherSide(segment.side)),
          fits: sockOf(other, other.opener ?? 0, TCP_STATE.ESTABLISHED),
          ...(known &&
            !known.over &&
            known.client?.opened && {
              sock: sockOf(known, otherSide(segment.side), TCP_STATE.ESTABLISHED),
            }),
        },
      });
      return true;
    }
    return false;
  }

  #doubt(connection: Connection, segment: Segment, peer: End, time_ns: number): void {
    if (!connection.open || this.#doubted.size >= MOST_CONNECTIONS) return;
    const expected = connection.end(segment.side).next;
    const window_end = (expected + peer.window) >>> 0;
    this.#doubted.set(connection, { segment, time_ns, expected, window_end });
  }

  // --- everything else

  #other(connection: Connection | undefined, segment: Segment, time_ns: number): void {
    if (!connection) {
      this.#crossed(connection, segment, time_ns);
      return;
    }
    if (connection.over) return;
    this.#challenged(connection, segment, time_ns);
    const doubted = this.#doubted.get(connection);
    if (segment.mptcp !== null) connection.mptcp = true;
    const was_open = connection.open;
    const had_opened = connection.client?.opened;
    const synAck_ns = connection.server?.last_ns ?? 0;
    connection.follow(segment, time_ns);
    if (connection.client?.opened && !had_opened && connection.syns === 1 && connection.whole)
      this.vantage.handshake(connection, connection.syn_ns, synAck_ns, time_ns);
    if (connection.open && connection.whole && (!was_open || connection.toa))
      this.#shownPeer(connection, time_ns);
    if (doubted && doubted.segment.side === segment.side)
      this.#disbelieved(connection, doubted, time_ns);
    if (!connection.closed) return;
    if (connection.whole) this.#stamp(connection, time_ns);
    connection.release();
  }

  /** Who a host that reads such options shows as its peer, and whether another open one shows it too. */
  #shownPeer(connection: Connection, time_ns: number): void {
    const { opener, toa } = connection;
    if (opener === null || connection.toa_told) return;
    const server = endOfKey(connection.key, otherSide(opener));
    if (!toa) {
      const other = this.#shown.get(server + endOfKey(connection.key, opener));
      if (other?.toa && other !== connection && !other.over)
        this.#tellPeer(other, connection, time_ns, true);
      return;
    }
    connection.toa_told = true;
    if (toa.port === 0) {
      this.#tellPeer(connection, null, time_ns);
      return;
    }
    const shown = endOf(toa);
    const direct = this.#find(keyOfEnds(shown, server).key);
    const as_well = this.#shown.get(server + shown);
    const other = [direct, as_well].find(
      (one) => one && one !== connection && one.open && one.whole && !one.over,
    );
    if (this.#shown.size >= MOST_CONNECTIONS) this.#shown.clear();
    this.#shown.set(server + shown, connection);
    this.#tellPeer(connection, other ?? null, time_ns);
  }

  #tellPeer(
    connection: Connection,
    other: Connection | null,
    time_ns: number,
    again = false,
  ): void {
    const { opener, toa } = connection;
    if (opener === null || !toa) return;
    const side = otherSide(opener);
    this.#emit(time_ns, {
      told_peer: {
        flow: flowOf(connection.key, side, opener),
        toa,
        ...(other?.opener != null && {
          other: flowOf(other.key, otherSide(other.opener), other.opener),
        }),
        again: again ? 1 : 0,
      },
    });
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
    this.#emit(contender.time_ns, {
      drop: {
        packet: packetOf(contender.seg, connection.opener),
        sock: sockOf(connection, segment.side, state),
        peer_isn: peer.isn ?? 0,
      },
    });
  }

  /** The sender of a doubted reset goes on as if there had been none. */
  #disbelieved(connection: Connection, doubted: Doubted, time_ns: number): void {
    this.#doubted.delete(connection);
    if (!connection.whole || connection.contested) return;
    const { segment, expected, window_end } = doubted;
    if (Math.abs(distance(expected, segment.seq)) > FAR) return;
    const side = otherSide(segment.side);
    this.#emit(time_ns, {
      drop: {
        packet: packetOf(segment, connection.opener),
        sock: { ...sockOf(connection, side, TCP_STATE.ESTABLISHED), rcv_nxt: expected },
        window_end,
      },
    });
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

  // --- ICMP

  #icmp(segment: Segment, time_ns: number): void {
    const connection = this.#find(segment.key);
    const { icmp } = segment;
    if (!connection || !icmp || connection.over || connection.contested) return;
    this.#stamps.drop(connection);
    connection.answered_otherwise = true;
    const { opener, syns, syn_ns } = connection;
    if (opener !== segment.side || connection.server?.last) return;
    if (connection.end(opener).isn !== segment.seq || isItself(connection)) return;
    if (linuxError(icmp) === null || this.#unreachable.length >= MOST_UNREACHABLE) return;
    const due_ns = Math.max(time_ns, syn_ns + 1.5 * FIRST_RETRY_NS * 2 ** Math.min(syns - 1, 7));
    const one = { connection, segment, time_ns, syns, due_ns };
    const at = this.#unreachable.findLastIndex((other) => other.due_ns <= due_ns);
    this.#unreachable.splice(at + 1, 0, one);
  }

  /** Nothing more came of a connect that an ICMP error had answered. */
  #ended({ connection, segment, time_ns, syns }: Unreachable): void {
    const { opener } = connection;
    const { icmp } = segment;
    if (!icmp || opener === null || connection.over || connection.contested) return;
    if (connection.syns !== syns || connection.server?.last) return;
    connection.reset = true;
    this.#drop(connection);
    const { type, code, from } = icmp;
    this.#emit(time_ns, {
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
    });
  }

  // --- what is kept

  #find(key: string): Connection | undefined {
    const young = this.#young.get(key);
    if (young) return young;
    const old = this.#old.get(key);
    if (old) {
      this.#old.delete(key);
      this.#remember(old);
    }
    return old;
  }

  #keep(connection: Connection): void {
    this.#old.delete(connection.key);
    this.#remember(connection);
    if (connection.opener === null) return;
    const end = endOfKey(connection.key, connection.opener);
    const others = this.#dialled.get(end) ?? new Set();
    for (const other of others)
      if (other.over || other.key === connection.key) others.delete(other);
    if (others.size >= MOST_DIALLED) return;
    others.add(connection);
    this.#dialled.set(end, others);
  }

  #remember(connection: Connection): void {
    this.#young.set(connection.key, connection);
    if (this.#young.size < MOST_CONNECTIONS) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#dialled = new Map();
    for (const one of this.#old.values()) this.#index(one);
    for (const one of this.#doubted.keys()) if (!this.#old.has(one.key)) this.#doubted.delete(one);
  }

  #index(connection: Connection): void {
    if (connection.opener === null || connection.over) return;
    const end = endOfKey(connection.key, connection.opener);
    const others = this.#dialled.get(end) ?? new Set();
    if (others.size < MOST_DIALLED) this.#dialled.set(end, others.add(connection));
  }

  #dialledBy(end: string): Iterable<Connection> {
    return this.#dialled.get(end) ?? [];
  }

  /** It is answered: an ICMP error that came for its SYN did not end it. */
  #drop(connection: Connection): void {
    if (this.#unreachable.length === 0) return;
    this.#unreachable = this.#unreachable.filter((one) => one.connection !== connection);
  }

  /** Packets are missing: what is known of connections may be wrong. */
  #forget(): void {
    this.#young.clear();
    this.#old.clear();
    this.#dialled.clear();
    this.#doubted.clear();
    this.#astray.clear();
    this.#shown.clear();
    this.#stamps.clear();
    this.#unreachable = [];
  }
}

const next = (seq: number) => (seq + 1) >>> 0;

function nsOf(connection: Connection | undefined, side: Side): number {
  return connection?.end(side).last_ns ?? 0;
}

/** The same segment, as it went by another device. */
function isCopy(one: Segment, other: Segment): boolean {
  return (
    one.seq === other.seq &&
    one.ack === other.ack &&
    one.flags === other.flags &&
    one.payload_len === other.payload_len &&
    one.window === other.window &&
    one.tsval === other.tsval &&
    one.tsecr === other.tsecr &&
    one.ip_id === other.ip_id
  );
}

/** Nothing of it can be there any more: it was closed, reset while it was open, refused, or never answered. */
function isDone({ closed, reset, open, server }: Connection): boolean {
  return closed || (reset && open) || server?.last === null;
}

/** It was captured where it was sent, or no router away from there. */
function isAtClient(syn: Segment | null): boolean {
  return syn?.outgoing === true || INITIAL_TTL.has(syn?.ttl ?? 0);
}

/** Both ends are one. */
function isItself(connection: Connection): boolean {
  return endOfKey(connection.key, 0) === endOfKey(connection.key, 1);
}

/** What it acknowledges is on its way, or was acknowledged last. */
function isAcknowledging({ ack }: Segment, client: End, server: End): boolean {
  const from = server.acked ?? next(client.isn ?? 0);
  return !before(ack, from) && !before(client.next, ack);
}
