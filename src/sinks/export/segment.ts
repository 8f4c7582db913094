// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../../tcp/flags.ts';
import { reversed } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import type { Packet, Sock } from '../../wire/types.gen.ts';
import { packetIn } from './format.ts';
import type { Segment } from './headers.ts';

const { syn: SYN, rst: RST, ack: ACK } = TCP_FLAG;
const { SYN_SENT } = TCP_STATE;
/** What Linux sends with. */
const DEFAULT_TTL = 64;

/** The segment of an event, and whether it was seen or follows from its socket. */
export interface SeenSegment extends Segment {
  /** False: made up of the socket's own numbers; there was one like it, or none. */
  seen: boolean;
  inbound: boolean;
  device: string;
  ifindex: number;
}

/**
 * The segment that an event is about. Of events that tell of a socket only it is the reset or the SYN
 * that the socket sent or got, by the socket's sequence numbers, and, where `explained`, an ACK of
 * the socket, to have something to say it of. Null: there is none.
 */
export function segmentOf(event: Event, explained: boolean): SeenSegment | null {
  const packet = packetIn(event);
  if (packet) return seen(packet);
  switch (event.kind) {
    case 'reset_sent':
      return event.body.sock && fromSocket(event.body.sock, RST | ACK);
    case 'reset_received':
      return resetTo(event.body.sock);
    case 'retransmit':
      if (event.body.syn && !event.body.synack) return synOf(event.body.sock);
      return explained ? fromSocket(event.body.sock, event.body.synack ? SYN | ACK : ACK) : null;
    case 'state_change':
      if (!explained) return null;
      return event.body.old_state === SYN_SENT
        ? synOf(event.body.sock)
        : fromSocket(event.body.sock, ACK);
    case 'peer_name':
      return explained ? fromSocket(event.body.sock, ACK) : null;
    default:
      return null;
  }
}

function seen(packet: Packet): SeenSegment {
  const { flow, flags, seq, ack_seq, window, payload_len, tsval, tsecr, device, ifindex } = packet;
  return {
    flow,
    flags,
    seq,
    ack_seq,
    window,
    payload_len,
    timestamps: packet.has_timestamps ? { tsval, tsecr } : null,
    ttl: packet.ttl || DEFAULT_TTL,
    seen: true,
    inbound: ifindex > 0,
    device,
    ifindex,
  };
}

function fromSocket({ flow, snd_nxt, rcv_nxt }: Sock, flags: number): SeenSegment {
  return {
    flow,
    flags,
    seq: snd_nxt,
    ack_seq: rcv_nxt,
    window: 0,
    payload_len: 0,
    timestamps: null,
    ttl: DEFAULT_TTL,
    seen: false,
    inbound: false,
    device: '',
    ifindex: 0,
  };
}

/** The SYN stands before everything that a connecting socket has to send. */
function synOf(sock: Sock): SeenSegment {
  return { ...fromSocket(sock, SYN), seq: (sock.snd_nxt - 1) >>> 0, ack_seq: 0 };
}

function resetTo(sock: Sock): SeenSegment {
  const refused = sock.previous_state === SYN_SENT;
  return {
    ...fromSocket(sock, refused ? RST | ACK : RST),
    flow: reversed(sock.flow),
    seq: sock.rcv_nxt,
    ack_seq: refused ? sock.snd_nxt : 0,
    inbound: true,
  };
}
