// SPDX-License-Identifier: Apache-2.0

import { ERRNO } from '../tcp/errno.ts';
import { reversed, servedAtSource } from '../tcp/service.ts';
import { TCP_STATE } from '../tcp/states.ts';
import type { Event } from '../wire/event.ts';
import type { Flow, Owner, ResetReceived, Sock } from '../wire/types.gen.ts';
import { sourceToDestination } from './connection-id.ts';
import { ExpiringMap } from './expiring-map.ts';
import { Queue } from './queue.ts';

const { ESTABLISHED, SYN_SENT, FIN_WAIT1, CLOSE, LAST_ACK } = TCP_STATE;
/** `call` of a call_failed. */
const CONNECT = 0;

/** Who accepts for others gives a client up as soon as its own connect has failed. */
const WINDOW_NS = 500e6;
/** And sooner, where a connection that it had is reset: others go on meanwhile. */
const RESET_WINDOW_NS = 100e6;
/** Whose peer had the last word longer ago waits for nothing: it is kept for the next request. */
const IDLE_MS = 500;
/** How long what the client still sends may take to be answered with a reset. */
const CLOSED_NS = 60e9;
const MAX_FAILED = 4096;
const MAX_CLOSED = 4096;

/** A connect that a process of this host began and that came to nothing, or a connection that was reset in use. */
export interface FailedConnect {
  /** saddr:sport is the local end. */
  flow: Flow;
  /** errno that the process saw; 0: it gave up by itself. */
  err: number;
  /** SYNs that were sent again. */
  retransmits: number;
  ktime_ns: number;
  /** Whose it was. */
  owner: Owner;
  /** It had been open. */
  was_open: boolean;
  /** Where it may have been another of the same process as well: all of them, this one first. */
  one_of: readonly Flow[];
}

interface Failed {
  netns: number;
  pid: number;
  ktime_ns: number;
  err: number;
  /** Connections that it can still explain: one record may stand for more than itself. */
  left: number;
  sock: Sock;
  was_open: boolean;
}

/**
 * Which connections a process gave up because a connect of its own had failed just before, or else a connection
 * that it had dialled and used was reset. Each explains one connection: of connects the newest goes first; of
 * several that were reset nobody knows which it was.
 */
export class FailedConnects {
  readonly #failed = new Queue<Failed>();
  /** By connections that were closed in the ordinary way after a connect had failed. */
  readonly #closed = new ExpiringMap<Failed>(CLOSED_NS, MAX_CLOSED);
  readonly #explains = new WeakMap<Event, FailedConnect>();

  learn(event: Event): void {
    switch (event.kind) {
      case 'reset_received':
        if (event.body.sock.state === SYN_SENT)
          this.#fails(event, event.body.sock, ERRNO.ECONNREFUSED);
        else if (isInUse(event.body)) this.#fails(event, event.body.sock, ERRNO.ECONNRESET, true);
        return;
      case 'state_change': {
        const { old_state, new_state, sock } = event.body;
        // Without a port of its own it found none.
        const err = sock.err === 0 && sock.flow.sport === 0 ? ERRNO.EADDRNOTAVAIL : sock.err;
        if (old_state === SYN_SENT && new_state === CLOSE) this.#fails(event, sock, err);
        else if (new_state === FIN_WAIT1 || new_state === LAST_ACK) this.#closes(event, sock);
        return;
      }
      case 'call_failed': {
        const { call, sock, err } = event.body;
        if (call === CONNECT) this.#fails(event, sock, err);
        return;
      }
      case 'reset_sent': {
        const { packet, sock } = event.body;
        const failed = packet
          ? this.#closed.get(connection(event.netns, reversed(packet.flow)), event.ktime_ns)
          : sock && this.#before(event, sock.owner);
        if (failed && failed.left > 0) this.#explain(event, [failed]);
        else if (sock && !packet) this.#explain(event, this.#resetBefore(event, sock.owner));
      }
    }
  }

  #explain(event: Event, possible: readonly Failed[]): void {
    const [failed, other] = possible;
    if (!failed) return;
    if (!other) failed.left = Math.max(0, failed.left - event.occurrences);
    const { err, ktime_ns, was_open } = failed;
    const { flow, owner, retransmits } = failed.sock;
    const one_of = other ? possible.map(({ sock }) => sock.flow) : [];
    this.#explains.set(event, { flow, owner, retransmits, err, ktime_ns, was_open, one_of });
  }

  /** The failed connect because of which the connection of this reset was given up, or null. */
  because(event: Event): FailedConnect | null {
    return this.#explains.get(event) ?? null;
  }

  #fails(
    { netns, ktime_ns, occurrences: left }: Event,
    sock: Sock,
    err: number,
    was_open = false,
  ): void {
    const { pid } = sock.owner;
    if (pid === 0) return;
    this.#failed.push({ netns, pid, ktime_ns, err, left, sock, was_open });
    for (let oldest = this.#failed.oldest; oldest; oldest = this.#failed.oldest) {
      const young = ktime_ns - oldest.ktime_ns <= WINDOW_NS;
      if (young && this.#failed.length <= MAX_FAILED) return;
      this.#failed.shift();
    }
  }

  #closes(event: Event, { flow, owner }: Sock): void {
    const failed = this.#before(event, owner);
    if (!failed) return;
    this.#closed.set(connection(event.netns, flow), failed, event.ktime_ns);
  }

  #before({ netns, ktime_ns }: Event, { pid }: Owner): Failed | undefined {
    for (const one of this.#failed.newestFirst()) {
      if (ktime_ns - one.ktime_ns > WINDOW_NS) return;
      if (one.pid === pid && one.netns === netns && one.left > 0 && !one.was_open) return one;
    }
    return;
  }

  /** Connections of the process that were reset, the newest first. */
  #resetBefore({ netns, ktime_ns }: Event, { pid }: Owner): Failed[] {
    const found: Failed[] = [];
    for (const one of this.#failed.newestFirst()) {
      if (ktime_ns - one.ktime_ns > RESET_WINDOW_NS) break;
      if (one.pid === pid && one.netns === netns && one.left > 0 && one.was_open) found.push(one);
    }
    return found;
  }
}

const connection = (netns: number, flow: Flow) => `${netns} ${sourceToDestination(flow)}`;

/** A connection that its process had dialled, and on which it waits for something, or gets it. */
function isInUse({ sock, unused, answered, silent_ms }: ResetReceived): boolean {
  if (sock.state !== ESTABLISHED || servedAtSource(sock.flow) || unused === 1) return false;
  return answered === 0 || silent_ms <= IDLE_MS;
}
