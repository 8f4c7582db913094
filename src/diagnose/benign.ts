// SPDX-License-Identifier: Apache-2.0

import { leavesLoopback } from '../causes/shared/conntrack.ts';
import { callers, functionName, isRequestFunction, NO_REASON } from '../causes/shared/kernel.ts';
import { isLateAck } from '../causes/shared/late-ack.ts';
import { isForAnotherMac } from '../causes/shared/mac.ts';
import { neighbourDrop } from '../causes/shared/neighbours.ts';
import { keptOut } from '../causes/shared/timewait.ts';
import type { Names } from '../known/knowledge.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import { before, endOf } from '../tcp/sequence.ts';
import { isConnection, TCP_STATE } from '../tcp/states.ts';
import { isShutTo } from '../tcp/window.ts';
import type { Event } from '../wire/event.ts';
import type { Drop, ResetSent } from '../wire/types.gen.ts';

const DUPLICATE = 'a duplicate: the data had arrived before';
const LATE_ACK = 'an acknowledgement that arrived late';
const COPY = 'a copy for a raw or packet socket (tcpdump), which had no room for it';
const DEFERRED =
  'a third ACK: its listener takes the connection when there is data (TCP_DEFER_ACCEPT)';
const LATE_SYN_ACK = 'a SYN-ACK that arrived again, or late';

/** Ordinary duplicates and teardown, by the kernel's drop reason. */
const ORDINARY: Record<string, string> = {
  TCP_OLD_DATA: DUPLICATE,
  TCP_OLD_SEQUENCE: DUPLICATE,
  DUP_FRAG: 'a fragment that had arrived before',
  TCP_OLD_ACK: LATE_ACK,
  TCP_TOO_OLD_ACK: LATE_ACK,
  TCP_OFOMERGE: 'out-of-order data that a later segment contains too',
  TCP_OFO_DROP: 'out-of-order data that a later segment contains too',
  TCP_RFC7323_PAWS_ACK: 'an acknowledgement that arrived late, by its timestamp',
  PACKET_SOCK_ERROR: COPY,
  SOCKET_RCVBUFF: COPY,
  QUEUE_PURGE: 'what a closed socket still held',
  SOCKET_CLOSE: 'what a closed socket still held',
  TCP_CLOSE: 'a segment that crossed with the end of its connection',
};

/** What frees the queues of a socket that is closed, on kernels that give no reason for it. */
const PURGES = new Set([
  'sk_stream_kill_queues',
  'skb_queue_purge',
  'skb_rbtree_purge',
  'tcp_write_queue_purge',
  'mptcp_destroy_common',
]);

/** What frees a large segment whose parts a qdisc dropped, each with a reason of its own. */
const SPLITTERS = new Set(['tbf_enqueue', 'tbf_segment', 'cake_enqueue', 'netem_enqueue']);

/** Packet sockets drop only the copy that was made for them. */
const COPIERS = new Set(['packet_rcv', 'tpacket_rcv', 'packet_rcv_spkt']);

/** Why an event is nothing to worry about, or null. Asked only of what no cause explains. */
export function benign(event: Event, known: Names): string | null {
  if (event.kind === 'reset_sent' && isLateAck(event.body)) {
    return 'an acknowledgement that came late: both ends had closed the connection';
  }
  if (event.kind === 'reset_sent' && isSubflowOfListener(event.body, known)) {
    return 'a subflow of MPTCP whose listener closes: it is told of as that';
  }
  if (event.kind === 'syn_received' && event.body.mib.tcp_defer_accept_drop > 0) return DEFERRED;
  if (event.kind !== 'drop') return null;
  const reason = known.dropReason(event.body.reason);
  if (reason === 'NO_SOCKET' && event.body.packet.flags & TCP_FLAG.rst) {
    return 'a reset for a connection that is gone already';
  }
  if (
    reason === 'TCP_RESET' &&
    event.body.packet.flags & TCP_FLAG.rst &&
    event.body.sock?.state === TCP_STATE.LISTEN
  ) {
    return 'a reset to a listener, for a connection that is gone already';
  }
  if (reason === 'TCP_FLAGS' && event.body.packet.flags & TCP_FLAG.rst) {
    return 'a reset to a listener, for a connection that is gone already';
  }
  if (reason === 'TCP_FLAGS' && isEarlyData(event.body)) {
    return 'a segment that overtook its SYN-ACK: it is sent again';
  }
  if (reason === 'TCP_FASTOPEN' && event.body.packet.flags & TCP_FLAG.syn) {
    return 'the SYN of a connection that Fast Open has opened, once more';
  }
  if (reason === 'TCP_FASTOPEN' && isResetOfFastOpen(event.body)) {
    return 'a reset to a connection that Fast Open has opened: where it ended that, it is told of by itself';
  }
  if (isDeferred(event.body, known)) return DEFERRED;
  if (reason === 'NOT_SPECIFIED' && COPIERS.has(functionName(event.body.location, known))) {
    return COPY;
  }
  if (functionName(event.body.location, known) === 'inet_rtm_getroute') {
    return 'no segment: somebody asked the kernel for a route of TCP, as ip route get does';
  }
  if (isRepeatedSyn(event.body, known)) return 'the SYN of this half-open connection, once more';
  if (keptOut(event, known) === 'no_listener')
    return 'a SYN that TIME_WAIT answers where nothing listens any more: the next one is refused';
  const ended =
    event.body.sock?.state === TCP_STATE.TIME_WAIT && !(event.body.packet.flags & TCP_FLAG.syn);
  if (ended && (reason === 'NOT_SPECIFIED' || reason === 'TCP_RFC7323_TW_PAWS')) {
    return 'one of the last segments of a connection that has ended';
  }
  if (reason === 'NOT_SPECIFIED' && PURGES.has(known.symbol(event.body.location)?.name ?? '')) {
    return ORDINARY.QUEUE_PURGE ?? null;
  }
  if (reason === 'NOT_SPECIFIED' && SPLITTERS.has(functionName(event.body.location, known))) {
    return 'a large segment that a qdisc cut up: what became of its parts is told by itself';
  }
  if (reason === 'NOT_SPECIFIED' && isTakenAck(event.body, known)) {
    return 'an acknowledgement after the other end had sent its last: the kernel took it';
  }
  if (isForAnotherMac(event.body, known) && !event.body.frame?.is_ours) {
    return 'a frame for another host that this one was shown too: its device is promiscuous, or a bridge flooded it';
  }
  if (neighbourDrop(event.body, known) !== null) {
    return 'what waited for a neighbour that had not answered: its connection tells of it when it fails';
  }
  if (comesBackAgain(event.body, known))
    return 'a SYN that was sent again: what becomes of it was told of at first';
  return ORDINARY[reason] ?? repeated(event.body, known);
}

/** What martian-source tells of once for each connect. */
function comesBackAgain(drop: Drop, known: Names): boolean {
  if (!drop.dialled?.retransmits) return false;
  const location = known.symbol(drop.location)?.name ?? '';
  return location.startsWith('ip_rcv_finish') || leavesLoopback(drop, known);
}

/** Of a connection in the queue of a listener of MPTCP each subflow is reset, and then what waited in the queue. */
function isSubflowOfListener({ packet, stack }: ResetSent, known: Names): boolean {
  const by = packet ? [] : callers(stack, known);
  return by.includes('mptcp_subflow_queue_clean') && !by.includes('inet_csk_listen_stop');
}

/** A connecting socket takes nothing before the SYN-ACK. */
function isEarlyData({ packet, sock }: Drop): boolean {
  return (
    sock?.state === TCP_STATE.SYN_SENT &&
    (packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack | TCP_FLAG.rst)) === TCP_FLAG.ack
  );
}

const HANDSHAKE = TCP_FLAG.syn | TCP_FLAG.ack | TCP_FLAG.rst | TCP_FLAG.fin;

/** A half-open connection freed it without a reason; the kernel names its listener, where it names anything. */
function isFreedByRequest({ sock, reason, location }: Drop, known: Names): boolean {
  return (
    isRequestFunction(known.symbol(location)?.name) &&
    known.dropReason(reason) === NO_REASON &&
    (sock?.state === TCP_STATE.NEW_SYN_RECV || sock?.state === TCP_STATE.LISTEN)
  );
}

/** Of a half-open connection the kernel answers a SYN that comes again. */
function isRepeatedSyn(drop: Drop, known: Names): boolean {
  return (drop.packet.flags & HANDSHAKE) === TCP_FLAG.syn && isFreedByRequest(drop, known);
}

/** A third ACK without data, to a listener that waits for data and has room. */
function isDeferred(drop: Drop, known: Names): boolean {
  const { packet, sock, defer_accept } = drop;
  return (
    defer_accept > 0 &&
    (packet.flags & HANDSHAKE) === TCP_FLAG.ack &&
    packet.payload_len === 0 &&
    sock !== null &&
    sock.accept_queue <= sock.accept_queue_max &&
    isFreedByRequest(drop, known)
  );
}

/** Of such a connection resets go by its half-open one first, and are freed with a reason of that. */
function isResetOfFastOpen({ packet, sock }: Drop): boolean {
  return (packet.flags & TCP_FLAG.rst) !== 0 && !isConnection(sock?.state ?? 0);
}

/** States in which the other end has closed and has no more to send. */
const HEARD_OUT: number[] = [TCP_STATE.CLOSE_WAIT, TCP_STATE.CLOSING, TCP_STATE.LAST_ACK];

/** tcp_rcv_state_process() drops without a reason what it has no data to take from, when it has done with it. */
function isTakenAck({ packet, sock, location }: Drop, known: Names): boolean {
  return (
    known.symbol(location)?.name === 'tcp_rcv_state_process' &&
    sock !== null &&
    HEARD_OUT.includes(sock.state) &&
    packet.seq === sock.rcv_nxt &&
    packet.payload_len === 0 &&
    (packet.flags & (TCP_FLAG.syn | TCP_FLAG.fin | TCP_FLAG.rst)) === 0
  );
}

/** Why sockets refuse what they have already. */
const REFUSALS = new Set([
  'TCP_INVALID_SEQUENCE',
  'TCP_INVALID_END_SEQUENCE',
  'TCP_OVERWINDOW',
  'TCP_ZEROWINDOW',
  'TCP_RFC7323_PAWS',
  'TCP_INVALID_SYN',
]);

const PROBE = 'a probe of a window that is shut for a moment';

/** Something that a connection has got before; it refuses that like what never was its own. */
function repeated(drop: Drop, known: Names): string | null {
  const { packet, sock, peer_isn } = drop;
  const reason = known.dropReason(drop.reason);
  if (known.hasDropReasons() && !REFUSALS.has(reason)) return null;
  if (packet.flags & TCP_FLAG.rst) return null;
  if (isShutTo(drop)) return PROBE;
  if (reason === 'TCP_INVALID_SYN' && packet.flags & TCP_FLAG.ack) return LATE_SYN_ACK;
  if (!sock || !isConnection(sock.state)) {
    const bare = packet.payload_len === 0 && !(packet.flags & (TCP_FLAG.syn | TCP_FLAG.fin));
    return bare && reason === 'TCP_INVALID_SEQUENCE' ? `${LATE_ACK}, or a keepalive probe` : null;
  }
  if (packet.flags & TCP_FLAG.syn) {
    if (packet.flags & TCP_FLAG.ack) return LATE_SYN_ACK;
    return packet.seq === peer_isn ? 'the SYN of this connection, once more' : null;
  }
  return before(sock.rcv_nxt, endOf(packet)) ? null : DUPLICATE;
}
