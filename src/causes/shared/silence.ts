// SPDX-License-Identifier: Apache-2.0

import type { Sock } from '../../wire/types.gen.ts';

/** What an open connection ends in that gets no further. */
export const TIMEOUTS = ['keepalive-timeout', 'retransmit-timeout', 'user-timeout'] as const;

/** What comes of segments that are dropped without a word: each `leadsTo` it. */
export const SILENCE = [
  'connect-timeout',
  ...TIMEOUTS,
  'third-ack-missing',
  'mtu-black-hole',
  'retransmitting',
] as const;

/** How long a socket that gave up had waited for an answer; null where the kernel does not tell. */
export function waited({ unanswered_ms }: Sock): number | null {
  return unanswered_ms > 0 && unanswered_ms < LONGEST_WAIT_MS ? unanswered_ms : null;
}

/** 255 retries 120 s apart; where a route asks for stamps in microseconds they give more. */
const LONGEST_WAIT_MS = 255 * 120_000;
