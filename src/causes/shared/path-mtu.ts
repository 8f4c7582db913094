// SPDX-License-Identifier: Apache-2.0

import type { Stalled } from '../../known/stalls.ts';
import { bracketed, familyOf } from '../../tcp/address.ts';
import type { Flow } from '../../wire/types.gen.ts';
import { word } from './wording.ts';

/** The kernel's own answers to what it hears come sooner. */
const MEANWHILE_MS = 500;

type FirstIsFull = { full_segment_bytes?: number; heard_meanwhile?: true };

/**
 * Of what is never acknowledged: evidence that nothing else was sent before, and that it is full segments; and
 * whether the peer, which was heard so long ago, sent something while that waited.
 */
export function firstIsFull(stalled: Stalled | null, silent_ms: number): FirstIsFull {
  if (!stalled) return {};
  const { large, since_ms } = stalled;
  if (!large?.is_first || large.smaller_arrived) return {};
  const isHeard = silent_ms > 0 && silent_ms + MEANWHILE_MS < since_ms;
  return {
    full_segment_bytes: large.segment_bytes,
    ...(isHeard && { heard_meanwhile: true }),
  };
}

export function firstIsFullText({ full_segment_bytes, heard_meanwhile }: FirstIsFull): string {
  if (full_segment_bytes === undefined) return '';
  const why = heard_meanwhile
    ? 'and the peer was heard meanwhile: one of a path that takes less than that, and a peer that drops it'
    : 'so it is one of a path that takes less than that, and a peer or path that is gone';
  return `; it is the first that was sent, in full segments of ${full_segment_bytes} bytes, ${why}`;
}

/** Whether it is the size of segments that keeps them from their peer. */
export function sizeDecides(
  { saddr, daddr }: Pick<Flow, 'saddr' | 'daddr'>,
  segment_bytes: number,
  mtu: number | null,
): string {
  const six = familyOf(daddr) === 6;
  const ping = six ? 'ping -6' : 'ping';
  const icmp_bytes = segment_bytes + 32 - 8;
  const with_headers = icmp_bytes + 8 + (six ? 40 : 20);
  return `this decides: small ones are answered and large ones are not, then it is the MTU: \`${ping} -c 3 ${daddr}\` and \`${ping} -c 3 -M do -s ${icmp_bytes} ${daddr}\`${mtu === null ? '' : ` (with headers ${with_headers} of ${mtu} bytes)`} If none is answered, the host is gone or the path is cut; if both are, look there why its TCP drops them: \`tcpwhy trace ${word(bracketed(saddr))}\``;
}

/** Where it is. */
export const clampAdvice = (daddr: string) =>
  `where on the way: \`tracepath -n ${daddr}\` Behind a tunnel, VPN or PPPoE the MSS has to be clamped there: ${CLAMP}`;

/** Makes the MSS that the ends tell each other fit the route. */
export const CLAMP =
  "`nft add table inet clamp && nft 'add chain inet clamp f { type filter hook forward priority -150; }' && nft 'add rule inet clamp f tcp flags syn tcp option maxseg size set rt mtu'`";
