// SPDX-License-Identifier: Apache-2.0

import { benign } from '../diagnose/benign.ts';
import { describe } from '../diagnose/describe.ts';
import { movedText, PEER_CALLS } from '../diagnose/wording.ts';
import type { Names } from '../known/knowledge.ts';
import { endpoint, local, remote } from '../tcp/endpoint.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import { endOf, next } from '../tcp/sequence.ts';
import { reversed } from '../tcp/service.ts';
import { stateName } from '../tcp/states.ts';
import type { Event } from '../wire/event.ts';
import type { Flow, Handshake, Packet, ResetSent, Sock } from '../wire/types.gen.ts';
import type { End } from './connection.ts';
import type { Mark } from './model.ts';

/** A segment as one host saw it leave or arrive. */
export interface SegmentStep {
  kind: 'segment';
  flow: Flow;
  role: 'sent' | 'received';
  flags: number | null;
  seq: number | null;
  /** Null without the ACK flag. */
  ack: number | null;
  len: number | null;
  what: string | null;
  seen: boolean;
  /** It left some time before the event that tells of it. */
  earlier: boolean;
  verdict: string | null;
  mark: Mark | null;
}

/** Something that happened at one end, and was no segment. */
export interface NoteStep {
  kind: 'note';
  flow: Flow;
  text: string;
}

export type Step = SegmentStep | NoteStep;

/** What an event tells of segments and of the ends, in their order. */
export function stepsOf(event: Event, known: Names): Step[] {
  switch (event.kind) {
    case 'syn_received': {
      const { packet, mib } = event.body;
      return [received(packet, `SYN not taken: ${movedText(mib)}`, null)];
    }
    case 'reset_sent':
      return resetSteps(event.body, known.resetReason(event.body.reason));
    case 'reset_received': {
      const { sock, packet } = event.body;
      const verdict = `reset believed in ${stateName(sock.previous_state || sock.state)}`;
      if (packet) return [received(packet, verdict, 'reset')];
      const unseen = implied(reversed(sock.flow), TCP_FLAG.rst, null, null);
      return [{ ...unseen, role: 'received', verdict, mark: 'reset' }];
    }
    case 'drop':
      return dropSteps(event, known);
    case 'retransmit':
      return [retransmitted(event.body)];
    case 'handshake':
      return handshakeSteps(event.body);
    case 'state_change': {
      const { old_state, new_state, sock } = event.body;
      return [note(sock, `${stateName(old_state)} → ${stateName(new_state)}`)];
    }
    case 'peer_name': {
      const { sock, shown_addr, shown_port, call, other } = event.body;
      const shown = endpoint(shown_addr, shown_port);
      const name = PEER_CALLS[call] ?? 'a call';
      const too = other ? `, as for ${remote(other.flow)}` : '';
      return [note(sock, `${name} shows ${shown} for ${remote(sock.flow)}${too}`)];
    }
    default:
      return otherSteps(event, known);
  }
}

function dropSteps(event: Event<'drop'>, known: Names): Step[] {
  const { packet, reason, location, mib } = event.body;
  if (packet.flags & TCP_FLAG.rst && (mib?.embryonic_rsts ?? 0) > 0)
    return [received(packet, 'reset believed: the half-open connection is gone', 'reset')];
  const at = known.symbol(location)?.name;
  const where = `${known.dropReason(reason)}${at ? ` in ${at}` : ''}`;
  const ordinary = benign(event, known);
  const step = ordinary
    ? received(packet, `let go, ${ordinary}: ${where}`, null)
    : received(packet, `dropped: ${where}`, 'dropped');
  if (packet.ifindex > 0) return [step];
  // What a closing socket still held went nowhere.
  return ordinary ? [] : [{ ...step, role: 'sent' }];
}

function resetSteps(
  { packet, sock, dialled }: Pick<ResetSent, 'packet' | 'sock' | 'dialled'>,
  reason: string,
): Step[] {
  // Kernels that give none, and captures.
  const why = reason === 'NOT_SPECIFIED' ? '' : `: ${reason}`;
  if (!packet) {
    if (!sock) return [];
    const flags = TCP_FLAG.rst | TCP_FLAG.ack;
    const reset = implied(sock.flow, flags, sock.snd_nxt, sock.rcv_nxt);
    return [{ ...reset, verdict: `reset sent${why}`, mark: 'reset' }];
  }
  const asked: Step[] = dialled
    ? [
        {
          ...implied(dialled.flow, TCP_FLAG.syn, (packet.ack_seq - 1) >>> 0, null),
          verdict: 'still waits for an answer from there',
          earlier: true,
        },
      ]
    : [];
  const whose = sock ? '' : ', no socket for it';
  return [
    ...asked,
    received(packet, `answered with a reset${why}${whose}`, 'reset'),
    answerTo(packet),
  ];
}

/** The reset that tcp_v4_send_reset() and tcp_v6_send_reset() build for a packet (RFC 9293, 3.10.7.1). */
function answerTo(packet: Packet): SegmentStep {
  const { flags, ack_seq } = packet;
  const flow = reversed(packet.flow);
  if (flags & TCP_FLAG.ack) return implied(flow, TCP_FLAG.rst, ack_seq, null);
  return implied(flow, TCP_FLAG.rst | TCP_FLAG.ack, 0, endOf(packet));
}

/** Both were seen before what is told of them. */
function handshakeSteps({ flow, isn, answered, peer_isn }: Handshake): Step[] {
  const syn = { ...implied(flow, TCP_FLAG.syn, isn, null), seen: true, earlier: true };
  if (answered === 0) return [syn];
  const flags = TCP_FLAG.syn | TCP_FLAG.ack;
  const synAck = implied(reversed(flow), flags, peer_isn, next(isn));
  return [syn, { ...synAck, role: 'received', seen: true, earlier: true }];
}

function retransmitted({ sock, synack, syn }: { sock: Sock; synack: number; syn: number }): Step {
  const flags = synack ? TCP_FLAG.syn | TCP_FLAG.ack : syn ? TCP_FLAG.syn : null;
  const isn = syn && !synack ? (sock.snd_nxt - 1) >>> 0 : null;
  const times = sock.retransmits > 0 ? ` (${sock.retransmits} before)` : '';
  return {
    ...implied(sock.flow, flags, isn, null),
    len: null,
    what: flags === null ? 'data' : null,
    verdict: `sent again${times}`,
  };
}

/** Of kinds that have no words of their own here: their packet, or a note at their socket. */
function otherSteps(event: Event, known: Names): Step[] {
  const { packet, sock } = event.body as { packet?: Packet | null; sock?: Sock | null };
  if (packet?.flow) return [received(packet, event.kind.replaceAll('_', ' '), null)];
  return sock?.flow ? [note(sock, describe(event, known))] : [];
}

function received(packet: Packet, verdict: string, mark: Mark | null): SegmentStep {
  const { flow, flags, seq, ack_seq, payload_len } = packet;
  const ack = flags & TCP_FLAG.ack ? ack_seq : null;
  const rest = { what: null, seen: true, earlier: false };
  return {
    kind: 'segment',
    flow,
    role: 'received',
    flags,
    seq,
    ack,
    len: payload_len,
    ...rest,
    verdict,
    mark,
  };
}

function implied(
  flow: Flow,
  flags: number | null,
  seq: number | null,
  ack: number | null,
): SegmentStep {
  const rest = { what: null, seen: false, earlier: false, verdict: null, mark: null };
  return { kind: 'segment', flow, role: 'sent', flags, seq, ack, len: 0, ...rest };
}

function note(sock: Sock, text: string): NoteStep {
  return { kind: 'note', flow: sock.flow, text };
}

/** The process at the local end of each socket that an event names. */
export function ownersOf(event: Event): [End, string][] {
  const parts: unknown[] = Object.values(event.body);
  return parts.flatMap((part): [End, string][] => {
    const { flow, owner } = (part ?? {}) as Partial<Sock>;
    if (!flow || !owner || owner.pid === 0) return [];
    return [[local(flow), `${owner.comm} (${owner.pid})`]];
  });
}
