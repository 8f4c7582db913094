// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../../tcp/flags.ts';
import type { ResetSent } from '../../wire/types.gen.ts';

/** Long enough for the peer's TIME_WAIT, which acknowledges whatever comes late. */
const TIME_WAIT_MS = 60_000;

/**
 * Was reset: an acknowledgement for a connection that both ends had closed. The peer waits in
 * TIME_WAIT, and answers a segment that was sent twice (tcp_timewait_state_process).
 */
export function isLateAck({ packet, since_end_ms }: ResetSent): boolean {
  return (
    packet?.flags === TCP_FLAG.ack &&
    packet.payload_len === 0 &&
    since_end_ms > 0 &&
    since_end_ms <= TIME_WAIT_MS
  );
}
