// SPDX-License-Identifier: Apache-2.0

import type { FailedConnects } from '../flow/failed-connects.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import { TCP_STATE } from '../tcp/states.ts';
import type { Event } from '../wire/event.ts';
import type { Flow } from '../wire/types.gen.ts';
import { address, u32, type Words } from '../wire/words.ts';
import { AT, BODY } from '../wire/written.gen.ts';
import type { Layout, Written } from '../wire/written.ts';

/**
 * Records of which the causes see no more than their key, the ends of their flow and what `seenOf` gives:
 * two that are the same in these are occurrences of the same finding.
 */
export interface Kind {
  /** Where the flow is in them, and what else the causes see: places of two numbers below 65536, or -1. */
  flow: number;
  flags: number;
  payload_len: number;
  /** Of sockets: where their state and process are; -1 where it is a packet that was answered. */
  state: number;
  pid: number;
  /** The flow of an event that is such; else null. */
  flowOf(event: Event): Flow | null;
}

const PACKET = BODY + AT.ResetSent.packet;
const SOCK = BODY + AT.ResetReceived.sock;

const ANSWERED_SYN: Kind = {
  flow: PACKET + AT.Packet.flow,
  flags: PACKET + AT.Packet.flags,
  payload_len: PACKET + AT.Packet.payload_len,
  state: -1,
  pid: -1,
  flowOf({ kind, body }) {
    const { syn, ack } = TCP_FLAG;
    const isSyn = kind === 'reset_sent' && ((body.packet?.flags ?? 0) & (syn | ack)) === syn;
    return isSyn && !body.sock ? (body.packet?.flow ?? null) : null;
  },
};

const RESET_RECEIVED: Kind = {
  flow: SOCK + AT.Sock.flow,
  flags: -1,
  payload_len: -1,
  state: SOCK + AT.Sock.state,
  pid: SOCK + AT.Sock.owner + AT.Owner.pid,
  flowOf: ({ kind, body }) => (kind === 'reset_received' ? body.sock.flow : null),
};

/** What the causes see of a record beside its key and ends. */
export function seenOf({ flags, payload_len }: Kind, w: Words, at: number): number {
  if (flags < 0) return 0;
  return ((w[at + flags] as number) << 16) | (w[at + payload_len] as number);
}

/** Not where a connect that failed may be why. */
export function mayRepeat({ pid }: Kind, ktime_ns: number, failed: FailedConnects): boolean {
  return pid >= 0 || !failed.mayExplainAnswers(ktime_ns);
}

/** Takes in what the record of that number, which stands for `times`, says of connects that failed. */
export function learnFailed(
  { state, pid }: Kind,
  { w, at, ktime_ns }: Written,
  number: number,
  times: number,
  failed: FailedConnects,
): void {
  if (pid < 0 || w[at + state] !== TCP_STATE.SYN_SENT) return;
  failed.learnRefused(number, u32(w, at + AT.Event.netns), u32(w, at + pid), ktime_ns, times);
}

/** The flow of an event that others of its key may be like, as the event has it; else null. */
export function repeatableFlow(event: Event): Flow | null {
  return ANSWERED_SYN.flowOf(event) ?? RESET_RECEIVED.flowOf(event);
}

/** That flow in the event's record. */
export function flowIn({ w, at, layout }: Written): Flow {
  const flow = at + (kindOf(layout) ?? ANSWERED_SYN).flow;
  return {
    saddr: address(w, flow + AT.Flow.saddr),
    daddr: address(w, flow + AT.Flow.daddr),
    sport: u32(w, flow + AT.Flow.sport),
    dport: u32(w, flow + AT.Flow.dport),
    service: u32(w, flow + AT.Flow.service),
  };
}

/** How many occurrences the record stands for. */
export function timesOf({ w, at }: Written): number {
  return Math.max(1, u32(w, at + AT.Event.occurrences));
}

/** Of a record that others may be like; else null. */
export function kindOf({ kind }: Layout): Kind | null {
  if (kind === 'reset_sent') return ANSWERED_SYN;
  return kind === 'reset_received' ? RESET_RECEIVED : null;
}
