// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import type { Drop } from '../../wire/types.gen.ts';
import { NO_REASON } from './kernel.ts';

const REASONS = new Set(['NEIGH_FAILED', 'NEIGH_QUEUEFULL', 'NEIGH_DEAD', 'NEIGH_CREATEFAIL']);

/** What frees segments that waited for a neighbour, where the kernel gives no reason. */
const FUNCTIONS = new Set(['arp_error_report', 'ndisc_error_report', 'neigh_invalidate']);

/** The kernel's word for why a segment was dropped that waited for a neighbour; null: it was not. */
export function neighbourDrop({ reason, location }: Drop, known: Knowledge): string | null {
  const name = known.dropReason(reason);
  if (REASONS.has(name)) return name;
  const at = known.symbol(location)?.name.replace(/\..*$/, '') ?? '';
  if (known.hasDropReasons() && name !== NO_REASON) return null;
  return FUNCTIONS.has(at) ? at : null;
}
