// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';

/**
 * Before Linux 6.18 SOCKET_FILTER is the reason for whatever a socket may not receive: for a security module
 * too, and for memory kept for emergencies, which got a reason of its own with it (sk_filter_trim_cap).
 */
export function tellsFilters(known: Knowledge): boolean {
  return known.namesDropReason('PFMEMALLOC');
}
