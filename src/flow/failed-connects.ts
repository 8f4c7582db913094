// SPDX-License-Identifier: Apache-2.0

import type { Event } from '../wire/decode.ts';
import type { Flow, Owner, Sock } from '../wire/types.gen.ts';
import { Recent } from './recent.ts';

const SYN_SENT = 2;
const FIN_WAIT1 = 4;
const CLOSE = 7;
const LAST_ACK = 9;
const ECONNREFUSED = 111;

/** Who accepts for others gives a client up as soon as its own connect has failed. */
const WINDOW_NS = 500e6;
/** How long what the client still sends may take to be answered with a reset. */
const CLOSED_NS = 60e9;
const MAX_FAILED = 4096;
/** So many are let go together: each time all that stay have to move up. */
const AT_ONCE = 256;
const MAX_CLOSED = 4096;

/** A connect that a process of this host began and that came to nothing. */
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
}

interface Failed extends FailedConnect {
  netns: number;
  /** Connections that it can still explain: one record may stand for more than itself. */
  left: number;
}

/**
 * Which connections a process gave up because a connect of its own had failed just before. Each
 * failed connect explains one connection: the newest goes first.
 */
export class FailedConnects {
  readonly #failed: Failed[] = [];
  /** By connections that were closed in the ordinary way after a connect had failed. */
  readonly #closed = new Recent<Failed>(CLOSED_NS, MAX_CLOSED);
  readonly #explains = new WeakMap<Event, FailedConnect>();

  learn(event: Event): void {
    switch (event.kind) {
      case 'reset_received':
        if (event.body.sock.state === SYN_SENT) this.#fails(event, event.body.sock, ECONNREFUSED);
        return;
      case 'state_change': {
        const { old_state, new_state, sock } = event.body;
        if (old_state === SYN_SENT && new_state === CLOSE) this.#fails(event, sock, sock.err);
        else if (new_state === FIN_WAIT1 || new_state === LAST_ACK) this.#closes(event, sock);
        return;
      }
      case 'reset_sent': {
        const { packet, sock } = event.body;
        const failed = packet
          ? this.#closed.get(connection(event.netns, turned(packet.flow)), event.ktime_ns)
          : sock && this.#before(event, sock.owner);
        if (!failed || failed.left === 0) return;
        failed.left = Math.max(0, failed.left - event.occurrences);
        this.#explains.set(event, failed);
      }
    }
  }

  /** The failed connect because of which the connection of this reset was given up, or null. */
  because(event: Event): FailedConnect | null {
    return this.#explains.get(event) ?? null;
  }

  #fails({ netns, ktime_ns, occurrences: left }: Event, sock: Sock, err: number): void {
    const { flow, owner, retransmits } = sock;
    if (owner.pid === 0) return;
    this.#failed.push({ flow, owner, err, retransmits, netns, ktime_ns, left });
    const next = this.#failed[AT_ONCE];
    const full = this.#failed.length >= MAX_FAILED + AT_ONCE;
    if (!full && (!next || ktime_ns - next.ktime_ns <= WINDOW_NS)) return;
    this.#failed.splice(0, AT_ONCE);
  }

  #closes(event: Event, { flow, owner }: Sock): void {
    const failed = this.#before(event, owner);
    if (failed) this.#closed.set(connection(event.netns, flow), failed, event.ktime_ns);
  }

  #before({ netns, ktime_ns }: Event, { pid }: Owner): Failed | undefined {
    for (let at = this.#failed.length - 1; at >= 0; at--) {
      const one = this.#failed[at] as Failed;
      if (ktime_ns - one.ktime_ns > WINDOW_NS) break;
      if (one.owner.pid === pid && one.netns === netns && one.left > 0) return one;
    }
    return undefined;
  }
}

function connection(netns: number, { saddr, sport, daddr, dport }: Flow): string {
  return `${netns} ${saddr} ${sport} ${daddr} ${dport}`;
}

function turned({ saddr, sport, daddr, dport }: Flow): Flow {
  return { saddr: daddr, sport: dport, daddr: saddr, dport: sport };
}
