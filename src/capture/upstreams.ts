// SPDX-License-Identifier: Apache-2.0

import { ERRNO } from '../tcp/errno.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import type { Connection } from './connection.ts';
import { otherSide } from './ends.ts';
import { type Emit, flowOf } from './messages.ts';
import type { Segment } from './segment.ts';

/** Who passes on what it was asked dials, or asks in turn, within this time. */
const PASSES_ON_NS = 100e6;
/** And gives its client up within this time once that came to nothing. */
const GIVES_UP_NS = 100e6;
/** A SYN that was sent twice, and not answered for so long. */
const ASKED_TWICE = 2;
const UNANSWERED_NS = 0.9e9;
/** Who dials it of its own accord does so again within this time. */
const OF_ITS_OWN_NS = 60e9;
/** What is asked on a connection of which not all is seen may be passed on, and answered, within this time. */
const UNSEEN_NS = 1e9;
const MOST_ASKING = 4096;
const MOST_HOSTS = 4096;
const NS_PER_US = 1e3;

/** As addresses stand in a key. */
const LOOPBACK_V4 = `${'\0'.repeat(10)}\xff\xff\x7f`;
const LOOPBACK_V6 = `${'\0'.repeat(15)}\x01`;
/** What is this host's by whichever address. */
const HERE = 'here';

/** What had come to nothing of a connection that a host dialled for one that it had taken. */
interface Failing {
  upstream: Connection;
  err: number;
  was_open: boolean;
  time_ns: number;
  /** It may as well have been another one that failed. */
  one_of: boolean;
}

/** Who waits for an answer, and since when. */
interface Asker {
  connection: Connection;
  since_ns: number;
}

/** A connection that a host has taken, and what it has dialled for it. */
interface Passed {
  dialled: Connection | null;
  failing: Failing | null;
}

/**
 * Hosts that dial for a client whom they have not answered yet, and give that one up as soon as what they dialled has
 * come to nothing. Which process does what packets do not tell: so of all connections that the host has taken this
 * must be the only one that waits for an answer, it must have asked just before, and where the host dials the same
 * end when nobody has asked, nothing is said.
 */
export class Upstreams {
  readonly #emit: Emit;
  /** By host: connections that it has taken, and that ask it for something, as far as they are not answered since. */
  readonly #asking = new Map<string, Set<Connection>>();
  /** Addresses of the host that the capture was taken at. */
  readonly #here = new Set<string>();
  /** By connection that was dialled: the one that it was dialled for; null: for which one is not known. */
  readonly #dialled_for = new WeakMap<Connection, Connection | null>();
  readonly #passed = new WeakMap<Connection, Passed>();
  /** By host and end: when it dialled that last though nobody had asked, and that failed. */
  readonly #of_its_own = new Map<string, number>();
  /** By host: when it was asked last on a connection of which not all was seen. */
  readonly #unseen = new Map<string, number>();
  /** There were more that ask than are kept. */
  #crowded_ns = Number.NEGATIVE_INFINITY;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  /** A segment of a connection, which has been followed; null: of one that began before the capture. */
  heard(connection: Connection | null, segment: Segment, time_ns: number): void {
    const { side, payload_len, flags, ends } = segment;
    if (!connection?.whole || connection.contested) {
      if (payload_len === 0) return;
      if (this.#unseen.size >= MOST_HOSTS) this.#unseen.clear();
      this.#unseen.set(this.#host(ends.addresses.of[otherSide(side)]), time_ns);
      return;
    }
    if (side === connection.opener) {
      const opens = connection.opened_ns === time_ns;
      if (!connection.is_asking && (payload_len > 0 || opens)) this.#asks(connection, time_ns);
    } else if (flags & TCP_FLAG.fin) {
      const { fin, pieces } = connection.end(side);
      if (fin?.time_ns === time_ns && pieces.length === 0)
        this.givenUp(connection, segment, time_ns);
    }
  }

  #asks(connection: Connection, time_ns: number): void {
    const { opener, syn, forwarded } = connection;
    if (opener === null || forwarded) return;
    const address = connection.ends.addresses.of[otherSide(opener)];
    if (syn?.outgoing === false) this.#isHere(address);
    const asking = this.#asking.get(this.#host(address)) ?? new Set();
    if (asking.size >= MOST_ASKING) forgetAnswered(asking, time_ns);
    if (asking.size >= MOST_ASKING || this.#asking.size >= MOST_HOSTS) {
      this.clear();
      this.#crowded_ns = time_ns;
      return;
    }
    connection.is_asking = true;
    this.#asking.set(this.#host(address), asking.add(connection));
  }

  /** It was closed: it asks nothing more, and need not be kept until that is looked at. */
  ended(connection: Connection): void {
    const { opener, is_asking, ends } = connection;
    if (!is_asking || opener === null) return;
    this.#asking.get(this.#host(ends.addresses.of[otherSide(opener)]))?.delete(connection);
  }

  /** A host dials. */
  dialled(connection: Connection, time_ns: number): void {
    if (this.#asking.size === 0) return;
    const { opener, syn } = connection;
    if (opener === null || connection.itself) return;
    const address = connection.ends.addresses.of[opener];
    if (syn?.outgoing === true) this.#isHere(address);
    const asker = this.#onlyAsker(this.#host(address), connection, time_ns);
    if (!asker) {
      if (asker === null) this.#dialled_for.set(connection, null);
      return;
    }
    const before = this.#passed.get(asker.connection)?.dialled;
    const again = before != null && upstreamEnd(before) === upstreamEnd(connection);
    if (isTranslated(asker.connection, connection)) return;
    const at_once = time_ns - asker.since_ns <= PASSES_ON_NS;
    this.#dialled_for.set(connection, at_once || again ? asker.connection : null);
    // Whatever failed before, another is tried now.
    this.#passed.set(asker.connection, {
      dialled: at_once || again ? connection : null,
      failing: null,
    });
  }

  /** What it had dialled is refused. */
  refused(connection: Connection, time_ns: number): void {
    const { opener } = connection;
    if (opener === null) return;
    const asker = this.#dialled_for.get(connection);
    if (asker === undefined) {
      if (this.#of_its_own.size >= MOST_HOSTS) this.#of_its_own.clear();
      const host = this.#host(connection.ends.addresses.of[opener]);
      this.#of_its_own.set(`${host} ${upstreamEnd(connection)}`, time_ns);
      return;
    }
    const passed = asker && this.#passed.get(asker);
    if (passed?.dialled === connection)
      passed.failing = fails(connection, ERRNO.ECONNREFUSED, false, time_ns);
  }

  /** An open connection is reset by the end that was dialled. */
  reset(connection: Connection, time_ns: number): void {
    const { opener, client, server } = connection;
    if (opener === null || !client?.last_data || client.fin) return;
    const said_ns = client.last_data_ns;
    if (server?.last_data && server.last_data_ns >= said_ns) return;
    const host = this.#host(connection.ends.addresses.of[opener]);
    const asker = this.#onlyAsker(host, connection, time_ns);
    if (!asker || isTranslated(asker.connection, connection)) return;
    if (said_ns < asker.since_ns || said_ns - asker.since_ns > PASSES_ON_NS) return;
    const passed = this.#passed.get(asker.connection) ?? { dialled: null, failing: null };
    const failing = fails(connection, ERRNO.ECONNRESET, true, time_ns);
    failing.one_of = passed.failing !== null;
    // What was dialled last is of this one, or still on its way.
    if (passed.dialled !== null && passed.dialled !== connection && !passed.dialled.open) return;
    this.#passed.set(asker.connection, { ...passed, failing });
  }

  /** Whom it had taken is given up by this segment: a reset, or a FIN. */
  givenUp(connection: Connection, segment: Segment, time_ns: number): void {
    const { side, flags, ttl } = segment;
    const passed = this.#passed.get(connection);
    if (!passed || side === connection.opener || this.#isCrowded(time_ns)) return;
    this.#passed.delete(connection);
    if (!connection.whole || connection.contested || connection.mptcp) return;
    const { client, server } = connection;
    // A kernel without the socket, or a box on the way.
    if (!client || !server || client.fin || !(flags & TCP_FLAG.ack) || ttl !== server.ttl) return;
    const failing = passed.failing ?? unanswered(passed.dialled);
    if (!failing || failing.one_of || this.#isOfItsOwn(failing.upstream, time_ns)) return;
    const { upstream, err, was_open } = failing;
    const dialled_ns = was_open ? (upstream.client?.last_data_ns ?? 0) : upstream.began_ns;
    if (server.last_data && server.last_data_ns >= dialled_ns) return;
    if (err !== 0 && time_ns - failing.time_ns > GIVES_UP_NS) return;
    this.#emit(
      time_ns,
      {
        upstream_failed: {
          flow: flowOf(connection.key, side, connection.opener),
          upstream: flowOf(upstream.key, upstream.opener ?? 0, upstream.opener),
          err,
          syns: upstream.syns,
          was_open: was_open ? 1 : 0,
          before_us: Math.round((time_ns - failing.time_ns) / NS_PER_US),
          closed: flags & TCP_FLAG.fin ? 1 : 0,
        },
      },
      connection,
      upstream,
    );
  }

  /** Whether its host dials that end when nobody has asked. */
  #isOfItsOwn(upstream: Connection, time_ns: number): boolean {
    const host = this.#host(upstream.ends.addresses.of[upstream.opener ?? 0]);
    const last_ns = this.#of_its_own.get(`${host} ${upstreamEnd(upstream)}`);
    return last_ns !== undefined && time_ns - last_ns < OF_ITS_OWN_NS;
  }

  clear(): void {
    for (const asking of this.#asking.values())
      for (const connection of asking) connection.is_asking = false;
    this.#asking.clear();
    this.#of_its_own.clear();
    this.#unseen.clear();
  }

  #isCrowded(time_ns: number): boolean {
    return time_ns - this.#crowded_ns < OF_ITS_OWN_NS;
  }

  #isHere(address: string): void {
    if (this.#here.size < MOST_HOSTS) this.#here.add(address);
  }

  #host(address: string): string {
    const here = this.#here.has(address) || isLoopback(address);
    return here ? HERE : address;
  }

  /** Who alone waits for an answer of a host, but for `dialled`; null: others may, too; undefined: nobody. */
  #onlyAsker(host: string, dialled: Connection, time_ns: number): Asker | null | undefined {
    const unseen_ns = this.#unseen.get(host);
    if (unseen_ns !== undefined && time_ns - unseen_ns < UNSEEN_NS) return null;
    if (this.#isCrowded(time_ns)) return null;
    const asking = this.#asking.get(host);
    let only: Asker | undefined;
    for (const connection of asking ?? []) {
      if (connection === dialled) continue;
      const since_ns = asksSince(connection, time_ns);
      if (since_ns === null) forget(connection, asking);
      else if (only) return null;
      else only = { connection, since_ns };
    }
    if (asking?.size === 0) this.#asking.delete(host);
    return only;
  }
}

function forget(connection: Connection, asking?: Set<Connection>): void {
  asking?.delete(connection);
  connection.is_asking = false;
}

function forgetAnswered(asking: Set<Connection>, time_ns: number): void {
  for (const connection of asking)
    if (asksSince(connection, time_ns) === null) forget(connection, asking);
}

function isLoopback(address: string): boolean {
  return address.startsWith(LOOPBACK_V4) || address === LOOPBACK_V6;
}

function fails(upstream: Connection, err: number, was_open: boolean, time_ns: number): Failing {
  return { upstream, err, was_open, time_ns, one_of: false };
}

/** What was dialled, and nothing has answered. */
function unanswered(upstream: Connection | null): Failing | null {
  if (!upstream || upstream.over || upstream.contested || upstream.answered_otherwise) return null;
  const { client, server, began_ns, syn_ns, syns } = upstream;
  if (server?.last || !((client?.last?.flags ?? 0) & TCP_FLAG.syn)) return null;
  if (syns < ASKED_TWICE || syn_ns - began_ns < UNANSWERED_NS) return null;
  return fails(upstream, 0, false, began_ns);
}

/** Since when a connection waits for an answer of the end that was dialled; null: it does not. */
function asksSince(connection: Connection, time_ns: number): number | null {
  const { client, server, opened_ns } = connection;
  if (connection.over || connection.contested || !connection.whole) return null;
  if (!client || !server || client.fin || server.fin) return null;
  const asked_ns = client.last_data ? client.last_data_ns : null;
  const answered_ns = server.last_data ? server.last_data_ns : null;
  if (asked_ns === null)
    return answered_ns === null && time_ns - opened_ns <= PASSES_ON_NS ? opened_ns : null;
  return answered_ns !== null && answered_ns >= asked_ns ? null : asked_ns;
}

/**
 * Whether the host may only have translated one connection to the other: such have one SYN, or begin as it comes in. A
 * proxy takes its client before it dials, or had dialled before.
 */
function isTranslated(taken: Connection, { client, began_ns }: Connection): boolean {
  if (client?.isn === taken.client?.isn) return true;
  return began_ns >= taken.began_ns && began_ns < taken.opened_ns;
}

function upstreamEnd(upstream: Connection): string {
  return upstream.at(otherSide(upstream.opener ?? 0));
}
