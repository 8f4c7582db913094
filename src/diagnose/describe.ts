// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../flow/knowledge.ts';
import { perFlow } from '../flow/per-flow.ts';
import { endpoint } from '../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../tcp/flags.ts';
import { stateName } from '../tcp/states.ts';
import type { Event } from '../wire/event.ts';
import { MIB_SLOTS } from '../wire/mib.gen.ts';
import type { MibDelta, Packet, SynReceived } from '../wire/types.gen.ts';

/** One line for one event, without its time: for the list of a finding's events. */
export function describe(event: Event, known: Knowledge): string {
  const does = happened(event, known);
  switch (event.kind) {
    case 'syn_received':
      return `${does}  ${packetText(event.body.packet)}${stampText(event.body)}`;
    case 'drop':
      return `${does}  ${packetText(event.body.packet)}`;
    case 'reset_sent': {
      const { packet, sock } = event.body;
      if (packet) return `${does} for ${packetText(packet)}`;
      return `${does} by ${sock ? flowText(sock.flow) : 'no socket'}`;
    }
    case 'reset_received':
    case 'state_change':
    case 'retransmit':
      return `${does}  ${flowText(event.body.sock.flow)}`;
    case 'peer_name':
      return `${does} for ${flowText(event.body.sock.flow)}`;
    default:
      return does;
  }
}

/** What happened, without the packet or socket that it happened to. */
export function happened(event: Event, known: Knowledge): string {
  switch (event.kind) {
    case 'syn_received':
      return `SYN refused (${movedText(event.body.mib)})`;
    case 'reset_sent':
      return `reset sent (${known.resetReason(event.body.reason)})`;
    case 'reset_received':
      return `reset received in ${stateName(event.body.sock.state)}`;
    case 'drop': {
      const at = known.symbol(event.body.location)?.name;
      return `dropped (${known.dropReason(event.body.reason)}${at ? ` in ${at}` : ''})`;
    }
    case 'state_change':
      return `${stateName(event.body.old_state)} → ${stateName(event.body.new_state)}`;
    case 'retransmit':
      return `retransmitted ${event.body.synack ? 'SYN-ACK' : event.body.syn ? 'SYN' : 'data'}`;
    case 'peer_name': {
      const { call, shown_addr, shown_port } = event.body;
      return `${PEER_CALLS[call] ?? 'a call'} showed ${endpoint(shown_addr, shown_port)}`;
    }
    case 'crossed_reply':
      return `fits ${flowText(event.body.fits.flow)}, but came as ${packetText(event.body.packet)}`;
    default:
      return event.kind;
  }
}

export const PEER_CALLS = ['getpeername()', 'accept()', 'accept4()'];

export const flowText = perFlow(
  ({ saddr, sport, daddr, dport }) => `${endpoint(saddr, sport)} → ${endpoint(daddr, dport)}`,
);

function packetText(packet: Packet): string {
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
function stampText({ packet, remembered }: SynReceived): string {
  if (!remembered) return '';
  const own = packet.has_timestamps ? `TSval ${packet.tsval}` : 'no TSval';
  return `  ${own}, remembered ${remembered.tsval} of ${remembered.age_s} s ago`;
}
