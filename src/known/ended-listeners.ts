// SPDX-License-Identifier: Apache-2.0

import { TCP_STATE } from '../tcp/states.ts';
import type { Event } from '../wire/event.ts';
import type { Process, Sock } from '../wire/types.gen.ts';
import { ExpiringMap } from './expiring-map.ts';

/** Who asks in vain later than that does not do so because of a restart. */
const SPAN_NS = 600e9;
const MAX_ENDED = 4096;

/** A listener of this host that is no more. */
export interface EndedListener {
  sock: Sock;
  ktime_ns: number;
  /** As wait() tells it, where it ended with its process; null: it did not, or that is not known. */
  exit_status: number | null;
}

/** The last of each port, and how processes ended that listened. */
export class EndedListeners {
  readonly #by_port = new ExpiringMap<EndedListener>(SPAN_NS, MAX_ENDED);
  readonly #by_pid = new ExpiringMap<number>(SPAN_NS, MAX_ENDED);

  /** `known` says which processes had it open, as far as the host told. */
  learn(event: Event, known: { holders(listener: string): readonly Process[] }): void {
    if (event.kind === 'reset_sent') {
      const { running, process_ends, exit_status } = event.body;
      if (process_ends && running?.pid)
        this.#by_pid.set(String(running.pid), exit_status, event.ktime_ns);
      return;
    }
    if (event.kind !== 'state_change' || event.body.old_state !== TCP_STATE.LISTEN) return;
    const { netns, ktime_ns } = event;
    const { sock, connect } = event.body;
    const alone = known.holders(sock.id).every(({ pid }) => pid === sock.owner.pid);
    const exit_status = connect?.process_ends && alone ? connect.exit_status : null;
    this.#by_port.set(`${netns} ${sock.flow.sport}`, { sock, ktime_ns, exit_status }, ktime_ns);
    if (exit_status !== null && sock.owner.pid > 0)
      this.#by_pid.set(String(sock.owner.pid), exit_status, ktime_ns);
  }

  onPort(netns: number, port: number, ktime_ns: number): EndedListener | null {
    return this.#by_port.get(`${netns} ${port}`, ktime_ns) ?? null;
  }

  exitStatus(pid: number, ktime_ns: number): number | null {
    return this.#by_pid.get(String(pid), ktime_ns) ?? null;
  }
}
