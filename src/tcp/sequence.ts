// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from './flags.ts';

/** Whether a sequence number or TSval comes before another: both wrap around. */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** How far it is from one sequence number or TSval to another, at most half way round. */
export function distance(from: number, to: number): number {
  return (to - from) | 0;
}

/** What a segment takes of the sequence numbers: its bytes, and one each for SYN and FIN. */
function spaceOf({ payload_len, flags }: { payload_len: number; flags: number }): number {
  return payload_len + (flags & TCP_FLAG.syn ? 1 : 0) + (flags & TCP_FLAG.fin ? 1 : 0);
}

/** The sequence number after a segment's last. */
export function endOf(segment: { seq: number; payload_len: number; flags: number }): number {
  return (segment.seq + spaceOf(segment)) >>> 0;
}

/** The number after it. */
export function next(seq: number): number {
  return (seq + 1) >>> 0;
}
