// SPDX-License-Identifier: Apache-2.0

import { perFlow } from '../known/per-flow.ts';
import { endpoint } from '../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../tcp/flags.ts';
import { MIB_SLOTS } from '../wire/mib.gen.ts';
import type { MibDelta, Packet, SynReceived } from '../wire/types.gen.ts';

/** What `call` of a peer_name stands for. */
export const PEER_CALLS = ['getpeername()', 'accept()', 'accept4()'];

/** What `call` of a call_failed stands for. */
export const FAILING_CALLS = ['connect()', 'bind()'];

export const flowText = perFlow(
  ({ saddr, sport, daddr, dport }) => `${endpoint(saddr, sport)} → ${endpoint(daddr, dport)}`,
);

export function packetText(packet: Packet): string {
  const { seq, ack_seq, payload_len, window, flags } = packet;
  const ack = flags & TCP_FLAG.ack ? ` ack ${ack_seq}` : '';
  return `${flowText(packet.flow)} [${flagsText(flags)}] seq ${seq}${ack} win ${window} len ${payload_len}`;
}

export function movedText(mib: MibDelta): string {
  return MIB_SLOTS.filter(({ field }) => mib[field] > 0)
    .map(({ field }) => `${field} +${mib[field]}`)
    .join(', ');
}

/** Both timestamps that the kernel compared, where it did. */
export function stampText({ packet, remembered }: SynReceived): string {
  if (!remembered) return '';
  const own = packet.has_timestamps ? `TSval ${packet.tsval}` : 'no TSval';
  return `  ${own}, remembered ${remembered.tsval} of ${remembered.age_s} s ago`;
}
