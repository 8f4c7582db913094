// SPDX-License-Identifier: Apache-2.0

/** `lo` has this index in each namespace (include/net/flow.h). */
export const LOOPBACK_IFINDEX = 1;
