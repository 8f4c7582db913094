// SPDX-License-Identifier: Apache-2.0

/** `what` of a Stall: bpf/include/stall.h. */
export const STALL = { timeouts: 1, window: 2, half_open: 3, acknowledged: 4 } as const;

/** A window that is shut for less is nothing: bpf/include/stall.h. */
export const STALLED_MS = 2500;
