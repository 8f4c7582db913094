// SPDX-License-Identifier: Apache-2.0

/** A SYN-ACK is sent again after so long, then after twice that, at most (TCP_RTO_MAX). */
const FIRST_S = 1;
const LONGEST_S = 120;

/** TCP_DEFER_ACCEPT as getsockopt() gives it: how long so many timeouts of a SYN-ACK take. */
export function deferralSeconds(timeouts: number): number {
  let sum = 0;
  for (let at = 0; at < timeouts; at++) sum += Math.min(FIRST_S * 2 ** at, LONGEST_S);
  return sum;
}
