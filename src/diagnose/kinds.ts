// SPDX-License-Identifier: Apache-2.0

import { callers } from '../causes/shared/kernel.ts';
import type { Names } from '../known/knowledge.ts';
import { endpoint } from '../tcp/endpoint.ts';
import { errnoName } from '../tcp/errno.ts';
import { stateName } from '../tcp/states.ts';
import type { Event } from '../wire/event.ts';
import type { EventKind } from '../wire/kinds.gen.ts';
import type { Bodies, Conntrack, Flow, Packet } from '../wire/types.gen.ts';
import {
  FAILING_CALLS,
  flowText,
  movedText,
  PEER_CALLS,
  packetText,
  stampText,
} from './wording.ts';

/** Those that the kernel tells, or packets, as against what tcpwhy writes into the stream itself. */
export type KernelKind = Exclude<EventKind, 'tick' | 'totals' | 'fact' | 'footer'>;

/** What is said of one kind of event, wherever events are shown, and what it is about. */
interface Kind<Body> {
  /** For docs/json.md. */
  is: string;
  /** What happened, without the packet or socket that it happened to. */
  happened(body: Body, known: Names): string;
  /** The same with it, in one line. */
  line(happened: string, body: Body): string;
  /** The kernel's names for numbers of the body, which stand beside them in JSON; null where the host did not tell. */
  names?(body: Body, known: Names): { [name: string]: string | string[] | null };
  /** The packet that it is about. */
  packet?(body: Body): Packet | null;
  /**
   * What BPF asks its filter about, one of which is enough: the segment where there is one, else the socket; what
   * connection tracking has of the segment, and the connection that it belongs to. Absent: of no connection.
   */
  asked?(body: Body): (Flow | null | undefined)[];
}

export const KINDS: { readonly [K in KernelKind]: Kind<Bodies[K]> } = {
  syn_received: {
    is: 'a SYN for which a counter of refusals or cookies moved',
    happened: ({ mib }) => `SYN refused (${movedText(mib)})`,
    line: (happened, body) => `${happened}  ${packetText(body.packet)}${stampText(body)}`,
    packet: ({ packet }) => packet,
    asked: ({ packet, dialled }) => [packet.flow, dialled],
  },
  reset_sent: {
    is: 'a reset that this host sent',
    happened: ({ reason }, known) => `reset sent (${known.resetReason(reason)})`,
    line(happened, { packet, sock }) {
      if (packet) return `${happened} for ${packetText(packet)}`;
      return `${happened} by ${sock ? flowText(sock.flow) : 'no socket'}`;
    },
    names: ({ reason, stack }, known) => ({
      reason_name: known.resetReason(reason),
      stack_names: callers(stack, known),
    }),
    packet: ({ packet }) => packet,
    asked: ({ packet, sock, dialled, conntrack }) => [
      packet?.flow ?? sock?.flow,
      dialled?.flow,
      ...translated(conntrack),
    ],
  },
  reset_received: {
    is: 'a reset that a socket believed',
    happened: ({ sock }) => `reset received in ${stateName(sock.state)}`,
    line: (happened, { sock }) => `${happened}  ${flowText(sock.flow)}`,
    asked: ({ sock }) => [sock.flow],
  },
  drop: {
    is: 'a TCP segment that was freed',
    happened({ reason, location }, known) {
      const at = known.symbol(location)?.name;
      return `dropped (${known.dropReason(reason)}${at ? ` in ${at}` : ''})`;
    },
    line: (happened, { packet }) => `${happened}  ${packetText(packet)}`,
    names: ({ reason, location }, known) => ({
      reason_name: known.dropReason(reason),
      location_name: known.symbol(location)?.name ?? null,
    }),
    packet: ({ packet }) => packet,
    asked: ({ packet, conntrack }) => [packet.flow, ...translated(conntrack)],
  },
  state_change: {
    is: 'of a listener, or of a connection that failed',
    happened: ({ old_state, new_state }) => `${stateName(old_state)} → ${stateName(new_state)}`,
    line: (happened, { sock }) => `${happened}  ${flowText(sock.flow)}`,
    names: ({ old_state, new_state }) => ({
      old_state_name: stateName(old_state),
      new_state_name: stateName(new_state),
    }),
    asked: ({ sock }) => [sock.flow],
  },
  retransmit: {
    is: 'a segment that was sent again',
    happened: ({ synack, syn }) => `retransmitted ${synack ? 'SYN-ACK' : syn ? 'SYN' : 'data'}`,
    line: (happened, { sock }) => `${happened}  ${flowText(sock.flow)}`,
    asked: ({ sock, passing, conntrack }) => [sock.flow, ...(passing ? translated(conntrack) : [])],
  },
  peer_name: {
    is: 'a peer that accept() or getpeername() told',
    happened: ({ call, shown_addr, shown_port }) =>
      `${PEER_CALLS[call] ?? 'a call'} showed ${endpoint(shown_addr, shown_port)}`,
    line: (happened, { sock }) => `${happened} for ${flowText(sock.flow)}`,
    names: ({ call, getname }, known) => ({
      call_name: PEER_CALLS[call] ?? null,
      getname_name: known.symbol(getname)?.name ?? null,
    }),
    asked: ({ sock }) => [sock.flow],
  },
  socket: {
    is: 'one that was there before tcpwhy',
    happened: () => 'socket',
    line: (happened) => happened,
  },
  crossed_reply: {
    is: 'a segment that belongs to another connection of the same local port',
    happened: ({ fits, packet }) =>
      `fits ${flowText(fits.flow)}, but came as ${packetText(packet)}`,
    line: (happened) => happened,
    packet: ({ packet }) => packet,
    asked: ({ packet, fits }) => [packet.flow, fits.flow],
  },
  call_failed: {
    is: 'a connect() or bind() that failed before there was a packet',
    happened: ({ call, err }) => `${FAILING_CALLS[call] ?? 'a call'} failed: ${errnoName(err)}`,
    line: (happened, { sock }) => `${happened}  ${flowText(sock.flow)}`,
    names: ({ call, err }) => ({
      call_name: FAILING_CALLS[call] ?? null,
      err_name: errnoName(err),
    }),
    asked: ({ sock }) => [sock.flow],
  },
  told_peer: {
    is: 'of a capture: an option of TCP in which a balancer tells whom it connects for',
    happened: ({ toa }) => `option ${toa.kind} tells ${endpoint(toa.addr, toa.port)}`,
    line: (happened, { flow }) => `${happened} for ${flowText(flow)}`,
    asked: ({ flow }) => [flow],
  },
  unanswered: {
    is: 'of a capture: a SYN, or what an open connection sent, that was sent again and again, with no answer to it',
    happened: ({ syns, sent_again }) =>
      sent_again > 0
        ? `sent again ${sent_again} times without an answer`
        : `${syns} SYNs without an answer`,
    line: (happened, { flow }) => `${happened}  ${flowText(flow)}`,
    asked: ({ flow }) => [flow],
  },
  upstream_failed: {
    is: 'of a capture: a host gave up a connection that it had taken, just after one that it had dialled had failed',
    happened: ({ closed, upstream }) =>
      `${closed ? 'closed' : 'reset'} after ${flowText(upstream)} had failed`,
    line: (happened, { flow }) => `${happened}  ${flowText(flow)}`,
    asked: ({ flow, upstream }) => [flow, upstream],
  },
  window_shut: {
    is: 'of a capture: an end that has no room for what the other one has to send, and says so when it is asked',
    happened: ({ shut_ms, ended }) =>
      `window shut for ${shut_ms} ms${ended ? ', and no more' : ''}`,
    line: (happened, { flow }) => `${happened}  ${flowText(flow)}`,
    asked: ({ flow }) => [flow],
  },
  unaccepted: {
    is: 'a connection that waits to be accepted, of a listener whose queue has room',
    happened: ({ waited_ms, queue, queue_max }) =>
      `not accepted for ${waited_ms} ms (${queue} wait where ${queue_max} may)`,
    line: (happened, { flow }) => `${happened}  ${flowText(flow)}`,
    asked: ({ flow }) => [flow],
  },
  handshake: {
    is: 'of a capture: the first sequence numbers of a connection of which something is told next',
    happened: ({ isn, answered, peer_isn }) =>
      `began with ${isn}${answered ? `, answered with ${peer_isn}` : ''}`,
    line: (happened, { flow }) => `${happened}  ${flowText(flow)}`,
    asked: ({ flow }) => [flow],
  },
  captured: {
    is: 'of a capture: what else its packets show of a connection of which something is told next',
    happened: ({ history }) => `who sent what: ${history}`,
    line: (happened, { flow }) => `${happened}  ${flowText(flow)}`,
    asked: ({ flow }) => [flow],
  },
  counter_moved: {
    is: 'of two texts of counters: one that counts failures has grown',
    happened: ({ counter, before, after }) => `${counter} ${before} → ${after}`,
    line: (happened) => happened,
  },
  kernel_said: {
    is: 'of a kernel’s log: a line that says why TCP failed',
    happened: ({ line }) => line,
    line: (happened) => happened,
  },
};

/** As it was sent, and as it is answered: where this host translates, one of them has what was dialled. */
function translated(conntrack: Conntrack | null): (Flow | null)[] {
  return conntrack ? [conntrack.sent, conntrack.answer] : [];
}

const BY_NAME: { readonly [K in EventKind]?: Kind<Bodies[EventKind]> } = KINDS;

/** Null for what tcpwhy wrote into the stream itself. */
export function kindOf(event: Event): Kind<Bodies[EventKind]> | null {
  return BY_NAME[event.kind] ?? null;
}
