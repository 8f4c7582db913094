// SPDX-License-Identifier: Apache-2.0

import { TCP_STATE } from '../../tcp/states.ts';
import type { Closed, Limits, ResetSent } from '../../wire/types.gen.ts';

/** TCP_TIMEWAIT_LEN of every kernel. */
const TIME_WAIT_MS = 60_000;

/** Why a connection that a process here had closed is not known any more. */
export type Forgotten = 'TIME_WAIT table full' | 'tcp_fin_timeout' | 'TCP_LINGER2';

/** Null where it is still known, or where that is not known, as where a reset had ended it. */
export function whyForgotten({ sock, closed, limits }: ResetSent): Forgotten | null {
  if (sock && sock.state !== TCP_STATE.LISTEN) return null;
  if (!closed || !limits || closed.state === TCP_STATE.LAST_ACK) return null;
  const waits = waitsForFin(closed);
  if (waits && closed.since_jiffies >= finTimeout(closed, limits))
    return closed.linger2 > 0 ? 'TCP_LINGER2' : 'tcp_fin_timeout';
  if (closed.timewait_full === 0 || (!waits && closed.since_ms > TIME_WAIT_MS)) return null;
  return 'TIME_WAIT table full';
}

/** How long this end waited for the peer's: the kernel counts in jiffies, of which only their number is known. */
export function waitedForFin({ closed, limits }: ResetSent): number | null {
  if (!closed || !limits || !waitsForFin(closed) || closed.since_jiffies === 0) return null;
  const ms = (finTimeout(closed, limits) * closed.since_ms) / closed.since_jiffies;
  return Math.round(ms / 1000);
}

function waitsForFin({ state, peer_closed }: Closed): boolean {
  return state === TCP_STATE.FIN_WAIT2 && peer_closed === 0;
}

function finTimeout({ linger2 }: Closed, { fin_timeout }: Limits): number {
  return linger2 > 0 ? Math.min(linger2, fin_timeout) : fin_timeout;
}
