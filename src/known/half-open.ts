// SPDX-License-Identifier: Apache-2.0

import { reversed } from '../tcp/service.ts';
import { STALL } from '../tcp/stall.ts';
import type { Event } from '../wire/event.ts';
import type { Flow } from '../wire/types.gen.ts';
import { sourceToDestination } from './connection-id.ts';
import { ExpiringMap } from './expiring-map.ts';

/** Clients come back to what they take for a connection when they have something to send. */
const SPAN_NS = 900e9;
const MOST = 20_000;

/** A half-open connection that the kernel gave up. */
export interface ExpiredRequest {
  /** Its SYN-ACK was acknowledged, and the connection did not open all the same. */
  acknowledged: boolean;
  /** Timeouts for which its listener waits for data; 0: it does not. */
  defer_accept: number;
  synacks: number;
  /** From its first SYN-ACK until it was given up. */
  waited_ms: number;
  /** How long before the event that was. */
  ended_ms: number;
}

/** Half-open connections that ended by their timer: what comes for them later is for none. */
export class HalfOpen {
  readonly #ended = new ExpiringMap<{ ktime_ns: number; isn: number; request: Request }>(
    SPAN_NS,
    MOST,
  );

  learn(event: Event): void {
    if (event.kind !== 'retransmit') return;
    const { sock, stall } = event.body;
    const acknowledged = stall?.what === STALL.acknowledged;
    if (!stall || (!acknowledged && stall.what !== STALL.half_open)) return;
    const { synacks, since_ms: waited_ms, isn, defer_accept } = stall;
    const request = { acknowledged, defer_accept, synacks, waited_ms };
    const { ktime_ns, netns } = event;
    this.#ended.set(keyOf(netns, reversed(sock.flow)), { ktime_ns, isn, request }, ktime_ns);
  }

  /** The one whose SYN-ACK a segment acknowledges that was reset. */
  of({ kind, body, netns, ktime_ns }: Event): ExpiredRequest | null {
    if (kind !== 'reset_sent' || !body.packet) return null;
    const ended = this.#ended.get(keyOf(netns, body.packet.flow), ktime_ns);
    if (!ended || body.packet.ack_seq !== (ended.isn + 1) >>> 0) return null;
    return { ...ended.request, ended_ms: Math.round((ktime_ns - ended.ktime_ns) / 1e6) };
  }
}

type Request = Omit<ExpiredRequest, 'ended_ms'>;

const keyOf = (netns: number, flow: Flow) => `${netns} ${sourceToDestination(flow)}`;
