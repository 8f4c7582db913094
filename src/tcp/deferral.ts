// SPDX-License-Identifier: Apache-2.0

/** A SYN-ACK is sent again after a second, then after twice that, at most (TCP_RTO_MAX). */
const LONGEST_S = 120;
/** So many of its timeouts are shorter. */
const SHORTER = 7;

/** TCP_DEFER_ACCEPT as getsockopt() gives it: how long so many timeouts of a SYN-ACK take. */
export function deferralSeconds(timeouts: number): number {
  return timeouts <= SHORTER
    ? 2 ** timeouts - 1
    : 2 ** SHORTER - 1 + (timeouts - SHORTER) * LONGEST_S;
}
