// SPDX-License-Identifier: Apache-2.0

import type { Fact } from '../diagnose/facts.ts';
import type { Basis, Evidence, Severity, Subject } from '../diagnose/finding.ts';
import type { Knowledge } from '../flow/knowledge.ts';
import type { Event } from '../wire/decode.ts';
import type { EventKind } from '../wire/kinds.gen.ts';
import type { Flow, Owner, Packet, ResetSent, Sock } from '../wire/types.gen.ts';

/** A cause that one event proves. */
export interface Match<E extends Evidence> {
  evidence: E;
  basis: Basis;
  subject: Subject;
  /** The subject in a few words: a listener's end, the service of a connection, an interface. */
  where: string;
  /** What the finding is about, as its `flow` shows it: saddr:sport the local end, or a packet's sender. */
  flow: Flow;
  /** Other connections of the same story, where the event itself does not name them. */
  related?: readonly Flow[];
  /** Occurrences with the same group are one finding; it is part of the cause's own name space. */
  group: string;
  owner: Owner | null;
  /** Another connection whose failure brought this one about: its cause goes into this evidence. */
  broughtOnBy?: { flow: Flow; evidence: string };
  /** Event time at which what failed began: what happened before is not why. */
  began_ns?: number;
  /** Where this occurrence says more or less than the cause usually does. */
  severity?: Severity;
}

/** One reason why TCP failed: when it holds, and what to say then. Pure: nothing but its arguments. */
export interface Cause<E extends Evidence = Evidence> {
  /** Kebab-case, the folder's name; never renamed, never reused. */
  id: string;
  title: string;
  severity: Severity;
  /** What it explains, for the table in the README: one sentence. */
  explains: string;
  /** Where one is missing the cause is not observable. */
  needs: readonly Fact[];
  /** Kinds of events that can prove it. */
  on: readonly EventKind[];
  /** Causes of the same failure that say less: this one stands for them. */
  supersedes?: readonly string[];
  /**
   * Causes that this one is the reason for when both meet one connection, however much later: the
   * finding of the other then names this one, as information.
   */
  leadsTo?: readonly string[];
  match(event: Event, known: Knowledge): Match<E> | null;
  /** One line: what happened, with the values seen. */
  summary(evidence: E, flow: Flow): string;
  /** What to do, each with the object, the value seen and the command. */
  advice(evidence: E, flow: Flow): string[];
}

export function defineCause<E extends Evidence>(cause: Cause<E>): Cause<E> {
  return cause;
}

export const TCP_FLAG = { fin: 0x01, syn: 0x02, rst: 0x04, psh: 0x08, ack: 0x10 } as const;
export const TCP_STATE = {
  SYN_SENT: 2,
  SYN_RECV: 3,
  FIN_WAIT1: 4,
  FIN_WAIT2: 5,
  TIME_WAIT: 6,
  CLOSE: 7,
  CLOSE_WAIT: 8,
  LAST_ACK: 9,
  LISTEN: 10,
  CLOSING: 11,
  NEW_SYN_RECV: 12,
} as const;

const STATES = [
  '?',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
  'NEW_SYN_RECV',
  'BOUND_INACTIVE',
];

/** The kernel's word for a TCP state. */
export function stateName(state: number): string {
  return STATES[state] ?? `state ${state}`;
}

/** A state of a connection that the peer may send to: neither half-open nor over. */
export function isConnection(state: number): boolean {
  const { SYN_SENT, TIME_WAIT, CLOSE, LISTEN, NEW_SYN_RECV } = TCP_STATE;
  return state > 0 && ![SYN_SENT, TIME_WAIT, CLOSE, LISTEN, NEW_SYN_RECV].some((s) => s === state);
}

/** Whether a sequence number or TSval comes before another: both wrap around. */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** How far it is from one sequence number or TSval to another, at most half way round. */
export function distance(from: number, to: number): number {
  return (to - from) | 0;
}

/** The sequence number after a segment's last. */
export function endOf({ seq, payload_len, flags }: Packet): number {
  return (
    (seq + payload_len + (flags & TCP_FLAG.syn ? 1 : 0) + (flags & TCP_FLAG.fin ? 1 : 0)) >>> 0
  );
}

/** Of every architecture that tcpwhy runs on. */
export const ERRNO = { EXDEV: 18, ETIMEDOUT: 110 } as const;

/** What a connection ends in whose segments are dropped without a word: each `leadsTo` them. */
export const SILENCE = [
  'connect-timeout',
  'keepalive-timeout',
  'retransmit-timeout',
  'user-timeout',
] as const;

/** Long enough for the peer's TIME_WAIT, which acknowledges whatever comes late. */
const TIME_WAIT_MS = 60_000;

/**
 * Was reset: an acknowledgement for a connection that both ends had closed. The peer waits in
 * TIME_WAIT, and answers a segment that was sent twice (tcp_timewait_state_process).
 */
export function isLateAck({ packet, since_end_ms }: ResetSent): boolean {
  return (
    packet?.flags === TCP_FLAG.ack &&
    packet.payload_len === 0 &&
    since_end_ms > 0 &&
    since_end_ms <= TIME_WAIT_MS
  );
}

/** addr:port, with brackets around IPv6. */
export function endpoint(addr: string, port: number): string {
  return addr.includes(':') ? `[${addr}]:${port}` : `${addr}:${port}`;
}

export function local(flow: Flow): string {
  return endpoint(flow.saddr, flow.sport);
}

export function remote(flow: Flow): string {
  return endpoint(flow.daddr, flow.dport);
}

const [SERVED_AT_SADDR, SERVED_AT_DADDR] = [1, 2];

/**
 * Whether clients dial saddr:sport, and not daddr:dport: as BPF decided (bpf/include/service.h). Where a
 * recording is too old to tell, it is the end with the lower port.
 */
export function servedAtSource({ service, sport, dport }: Ends): boolean {
  return service === 0 ? sport < dport : service === SERVED_AT_SADDR;
}

type Ends = Pick<Flow, 'service' | 'sport' | 'dport'>;

/** The end that clients dial. */
export function service(flow: Flow): string {
  return servedAtSource(flow) ? local(flow) : remote(flow);
}

/** Of a socket's flow: one group for each service, whether it runs here or is dialled from here. */
export function byService(netns: number, flow: Flow): string {
  const { saddr, sport, daddr, dport } = flow;
  return servedAtSource(flow) ? `${netns} at ${saddr} ${sport}` : `${netns} to ${daddr} ${dport}`;
}

/** The same, and of a service that runs here one for each host that dials it. */
export function byPeer(netns: number, flow: Flow): string {
  const group = byService(netns, flow);
  return servedAtSource(flow) ? `${group} from ${flow.daddr}` : group;
}

/** What is said of a segment that a connection refused: of the connection, for each host that sends to it. */
export function refusedBy(netns: number, { flow, owner }: Sock, packet: Packet) {
  const where = local(flow);
  return {
    subject: 'flow' as const,
    where,
    flow: packet.flow,
    group: `${netns} ${where} ${packet.flow.saddr}`,
    owner: ownerOf(owner),
  };
}

/** The same flow from the other end. */
export function reversed({ saddr, sport, daddr, dport, service: told }: Flow): Flow {
  const service = told === 0 ? 0 : told === SERVED_AT_SADDR ? SERVED_AT_DADDR : SERVED_AT_SADDR;
  return { saddr: daddr, sport: dport, daddr: saddr, dport: sport, service };
}

/** `S`, `SA`, `R`, `PA` … in tcpdump's order. */
export function flagsText(flags: number): string {
  const letters: [number, string][] = [
    [TCP_FLAG.syn, 'S'],
    [TCP_FLAG.fin, 'F'],
    [TCP_FLAG.rst, 'R'],
    [TCP_FLAG.psh, 'P'],
    [TCP_FLAG.ack, 'A'],
  ];
  return (
    letters
      .filter(([flag]) => flags & flag)
      .map(([, letter]) => letter)
      .join('') || '-'
  );
}

/** The kernel functions on a stack, innermost first; those without a name are left out. */
export function callers(stack: readonly string[], known: Knowledge): string[] {
  return stack.flatMap((address) => known.symbol(address)?.name ?? []);
}

/** What kernels say that give no reason: before 6.10 of any reset, before 6.12 of active ones. */
export const NO_REASON = 'NOT_SPECIFIED';

/** A known owner, or null. */
export function ownerOf(owner: Owner | undefined): Owner | null {
  return owner && owner.pid > 0 ? owner : null;
}

/** How long a socket that gave up had waited for an answer; null where the kernel does not tell. */
export function waited({ unanswered_ms }: Sock): number | null {
  return unanswered_ms > 0 && unanswered_ms < LONGEST_WAIT_MS ? unanswered_ms : null;
}

/** 255 retries 120 s apart; where a route asks for stamps in microseconds they give more. */
const LONGEST_WAIT_MS = 255 * 120_000;

/** `1.2 s`, `3 s`. */
export function seconds(ms: number): string {
  return `${Number((ms / 1000).toPrecision(ms < 10_000 ? 2 : 3))} s`;
}
