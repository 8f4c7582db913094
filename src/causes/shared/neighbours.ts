// SPDX-License-Identifier: Apache-2.0

import type { Knowledge, Names } from '../../known/knowledge.ts';
import { ENTRY } from '../../tcp/conntrack.ts';
import type { Event } from '../../wire/event.ts';
import type { Drop, Flow, NextHop } from '../../wire/types.gen.ts';
import { functionName, functionOf, NO_REASON } from './kernel.ts';
import { endedBy, type Heard, isNeighbourFailure, unreachable } from './unreachable.ts';
import { inWords } from './wording.ts';

const REASONS = new Set(['NEIGH_FAILED', 'NEIGH_QUEUEFULL', 'NEIGH_DEAD']);

/** What is dropped for these may have a neighbour that answers. */
const WAITED_ONLY: ReadonlySet<string> = new Set(['NEIGH_QUEUEFULL', 'NEIGH_DEAD']);

/** What frees segments that waited for a neighbour, where the kernel gives no reason. */
const FUNCTIONS = new Set(['arp_error_report', 'ndisc_error_report', 'neigh_invalidate']);

/** What frees segments for whose next hop no entry was made, and the same. */
const OUTPUT = new Set(['ip_finish_output2', 'ip6_finish_output2']);

/** The kernel's word for why a segment was dropped that waited for a neighbour; null: it was not. */
export function neighbourDrop({ reason, location }: Drop, known: Names): string | null {
  const name = known.dropReason(reason);
  if (REASONS.has(name)) return name;
  const at = functionName(location, known);
  if (known.hasDropReasons() && name !== NO_REASON) return null;
  return FUNCTIONS.has(at) ? at : null;
}

/** Whether it was, by the kernel's names for its reason and for the place where it was dropped. */
export function isUnanswered(reason: string, symbol: string | undefined): boolean {
  return REASONS.has(reason) || FUNCTIONS.has(functionOf(symbol));
}

/**
 * Where the segments of a connection that failed went first. A socket has no route any more where a segment
 * was to be sent again while it waited for its neighbour.
 */
export function nextHopOf(event: Event<'state_change'>, known: Knowledge): NextHop | null {
  const { ktime_ns, netns, body } = event;
  const { next_hop, icmp, sock } = body;
  if (next_hop) return next_hop;
  const { saddr, daddr } = sock.flow;
  // Not every segment has a record. This host says that the next hop is gone: that of another one is the same.
  const other = icmp?.from === saddr ? known.unsentTo(netns, daddr, ktime_ns) : null;
  const drop = known.unsent(sock.flow, ktime_ns) ?? other;
  return drop && goneHop(drop, known);
}

/** Why nobody can answer by a device: `no carrier`, `down`; null: it is as it should be, or not known. */
export function deviceState(netns: number, device: string, known: Knowledge): string | null {
  return known.hooksOf(netns, device)?.state || null;
}

/** `, since c0 has no carrier`. */
export function deviceText(device: string | null, state: string | undefined): string {
  if (!device || state === undefined) return '';
  return `, since ${inWords(device)} ${state === 'no carrier' ? 'has no carrier' : `is ${state}`}`;
}

/** What a connection that nobody answered had heard of why, in a few words; null: nothing. */
export function pathError(event: Event<'state_change'>, known: Knowledge): string | null {
  const { netns, body } = event;
  return heardOf(netns, { ...body, next_hop: nextHopOf(event, known) }, body.sock.flow, known);
}

/** The same where the next hop is told. */
export function heardOf(netns: number, heard: Heard, flow: Flow, known: Knowledge): string | null {
  const why = unreachable(heard, flow);
  const { device = '', is_silent } = heard.next_hop ?? {};
  if (why === null || !is_silent) return why;
  return `${why}${deviceText(device, deviceState(netns, device, known) ?? undefined)}`;
}

/** Where a segment should have gone first, which was dropped because nobody answers there. */
function goneHop(drop: Drop, known: Knowledge): NextHop | null {
  const why = neighbourDrop(drop, known);
  if (!drop.next_hop || why === null || WAITED_ONLY.has(why)) return null;
  return { ...drop.next_hop, is_silent: 1 };
}

/** The next hop that ended a connect because it does not answer; `sent_to`: where this host had sent it instead. */
export function failedNeighbour(event: Event<'state_change'>, known: Knowledge) {
  const { icmp, sock } = event.body;
  const { saddr, daddr } = sock.flow;
  if (!endedBy(icmp, sock.err)) return null;
  const drop = known.unsent(sock.flow, event.ktime_ns);
  if (drop && (drop.conntrack?.status ?? 0) & ENTRY.DST_NAT) {
    const hop = goneHop(drop, known);
    // What this host says of it is translated back: it comes from what was dialled.
    const own = icmp.from === daddr ? { ...icmp, from: saddr } : icmp;
    if (hop && isNeighbourFailure(own, hop, sock.flow)) return { hop, sent_to: drop.packet.flow };
  }
  const hop = nextHopOf(event, known);
  return hop && isNeighbourFailure(icmp, hop, sock.flow) ? { hop, sent_to: null } : null;
}

/** Whether no entry was made for a segment's next hop: `reason` and `symbol` are the kernel's names for where it was dropped. */
export function isWithoutEntry(
  reason: string,
  symbol: string | undefined,
  known: Pick<Knowledge, 'hasDropReasons'>,
): boolean {
  if (reason === 'NEIGH_CREATEFAIL') return true;
  return !(known.hasDropReasons() && reason !== NO_REASON) && OUTPUT.has(functionOf(symbol));
}
