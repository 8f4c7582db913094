// SPDX-License-Identifier: Apache-2.0

import { service } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import type { Sock } from '../../wire/types.gen.ts';
import { byPeer } from './groups.ts';
import { ownerOf } from './processes.ts';

/** What an open connection ends in that gets no further. */
export const TIMEOUTS = ['keepalive-timeout', 'retransmit-timeout', 'user-timeout'] as const;

/** The kernel sends a SYN again after so long at first. */
export const FIRST_RETRY_MS = 1000;

/** What comes of segments that are dropped without a word: each `leadsTo` it. */
export const SILENCE = [
  'connect-given-up',
  'connect-timeout',
  'syn-resent',
  ...TIMEOUTS,
  'third-ack-missing',
  'synack-unsent',
  'mtu-black-hole',
  'retransmitting',
  'fastopen-unanswered',
] as const;

/**
 * What each finding of a socket that nothing answers is about. `waited_ms` is for how long, from what was sent
 * again first and left this host; null: not known. What an open connection lost since it heard of its peer is of it too.
 */
export function ofSilence(event: Event, sock: Sock, waited_ms: number | null) {
  const { netns, ktime_ns } = event;
  const dials = event.kind === 'state_change' && event.body.old_state === TCP_STATE.SYN_SENT;
  const since_ms = dials ? waited_ms : Math.max(waited_ms ?? 0, sock.silent_ms);
  return {
    basis: 'direct' as const,
    subject: 'flow' as const,
    where: service(sock.flow),
    flow: sock.flow,
    group: byPeer(netns, sock.flow),
    owner: ownerOf(sock.owner),
    ...(waited_ms !== null && { began_ns: ktime_ns - (since_ms ?? 0) * 1e6 }),
  };
}

/** How long a socket that gave up had waited for an answer; null where the kernel does not tell. */
export function waited({ unanswered_ms }: Sock): number | null {
  return unanswered_ms > 0 && unanswered_ms < LONGEST_WAIT_MS ? unanswered_ms : null;
}

/** How long a connection had been idle before what was never answered was sent; null: not for long. */
export function idleBefore({ silent_ms }: Sock, waited_ms: number | null): number | null {
  if (waited_ms === null || silent_ms === 0) return null;
  const idle_ms = silent_ms - waited_ms;
  return idle_ms >= IDLE_MS ? idle_ms : null;
}

/** Longer than answers on their way take. */
const IDLE_MS = 3000;

/** 255 retries 120 s apart; where a route asks for stamps in microseconds they give more. */
const LONGEST_WAIT_MS = 255 * 120_000;
