// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../tcp/endpoint.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import { TCP_STATE } from '../tcp/states.ts';
import type { Event } from '../wire/event.ts';
import type { Flow, Packet, Sock } from '../wire/types.gen.ts';

export interface End {
  address: string;
  port: number;
  /** Its first sequence number; null: the event does not tell it. */
  isn: number | null;
}

/** The two ends of a connection as one host sees them. */
export interface Sides {
  /** On this host; null: neither is, or that is not known, and `peer` is where it goes. */
  local: End | null;
  peer: End;
  /** Where `local` is null: where it comes from. */
  source: End | null;
}

type Ends = Pick<Flow, 'saddr' | 'sport' | 'daddr' | 'dport'>;

/** Which end of `flow` is this host's, and what the event tells of their first sequence numbers. */
export function sidesOf(event: Event, flow: Ends): Sides {
  const body = event.body as {
    packet?: Packet | null;
    sock?: Sock | null;
    leaves_ifindex?: number;
    peer_isn?: number;
  };
  const [source, destination] = [
    endpoint(flow.saddr, flow.sport),
    endpoint(flow.daddr, flow.dport),
  ];
  const isns = isnsOf(body);
  const from = { address: flow.saddr, port: flow.sport, isn: isns.get(source) ?? null };
  const to = { address: flow.daddr, port: flow.dport, isn: isns.get(destination) ?? null };
  switch (localEnd(body)) {
    case source:
      return { local: from, peer: to, source: null };
    case destination:
      return { local: to, peer: from, source: null };
    default:
      return { local: null, peer: to, source: from };
  }
}

/** Null: the segment only passes, or nothing tells. */
function localEnd(body: {
  packet?: Packet | null;
  sock?: Sock | null;
  leaves_ifindex?: number;
}): string | null {
  const { packet, sock, leaves_ifindex = 0 } = body;
  if (!packet) return sock ? endpoint(sock.flow.saddr, sock.flow.sport) : null;
  const { saddr, sport, daddr, dport } = packet.flow;
  if (packet.ifindex === 0) return endpoint(saddr, sport);
  return leaves_ifindex === 0 ? endpoint(daddr, dport) : null;
}

/** By the end whose it is. */
function isnsOf(body: {
  packet?: Packet | null;
  sock?: Sock | null;
  peer_isn?: number;
}): Map<string, number> {
  const isns = new Map<string, number>();
  const { packet, sock, peer_isn = 0 } = body;
  if (sock) {
    const { saddr, sport, daddr, dport } = sock.flow;
    const unanswered =
      sock.state === TCP_STATE.SYN_SENT || sock.previous_state === TCP_STATE.SYN_SENT;
    if (unanswered && sock.snd_nxt !== 0)
      isns.set(endpoint(saddr, sport), (sock.snd_nxt - 1) >>> 0);
    if (peer_isn !== 0) isns.set(endpoint(daddr, dport), peer_isn);
  }
  if (packet && packet.flags & TCP_FLAG.syn) {
    const { saddr, sport, daddr, dport } = packet.flow;
    isns.set(endpoint(saddr, sport), packet.seq);
    if (packet.flags & TCP_FLAG.ack) isns.set(endpoint(daddr, dport), (packet.ack_seq - 1) >>> 0);
  }
  return isns;
}
