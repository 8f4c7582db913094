// SPDX-License-Identifier: Apache-2.0

/** Of each CPU: room for what the sampling of a dozen keys lets through between two ticks. */
const MOST_BYTES = 2 << 20;
/** Of many CPUs, on which a storm spreads. */
const ALL_BYTES = 128 << 20;
/** Of hundreds of CPUs: half a thousand records each. */
const LEAST_BYTES = 256 << 10;
/** Of all CPUs: far below what any buffer holds. */
export const LITTLE_BYTES = 32 << 10;

/**
 * Bytes of each CPU's ring on a host with so many: a power of two, whatever a page has, and not above what this
 * process may have of each (`most`).
 */
export function ringBytes(cpus: number, most = Number.POSITIVE_INFINITY): number {
  const share = powerWithin(ALL_BYTES / Math.max(1, cpus));
  return Math.min(MOST_BYTES, Math.max(LEAST_BYTES, share), powerWithin(most));
}

const powerWithin = (bytes: number) => 2 ** Math.floor(Math.log2(Math.max(1, bytes)));
