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
  /** It came of the failure of another connection: the cause of that goes into this evidence. */
  cameOf?: { flow: Flow; evidence: string };
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
  /**
   * What to do, each with the object, the value seen and the command: complete, for a shell, and between
   * backticks. What the reader has to know is a word in capitals (`DEV`, `ROUTER`, `TABLE`).
   */
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
  return `${bracketed(addr)}:${port}`;
}

/** An address with brackets around IPv6, as ss wants it. */
export function bracketed(addr: string): string {
  return addr.includes(':') ? `[${addr}]` : addr;
}

/** What `endpoint` gives, as one word of a command: brackets are a pattern for a shell. */
export function word(endpoint: string): string {
  return endpoint.startsWith('[') ? `'${endpoint}'` : endpoint;
}

/** A network device for a command; null where it has no name or one that is more than a word for a shell. */
export function deviceName(device: string | null): string | null {
  return device !== null && /^\w[\w.-]*$/.test(device) ? device : null;
}

/** A name that others chose, among the words of advice: it can begin or end no command. */
export function inWords(name: string): string {
  return name.replaceAll('`', "'");
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

/** A listener's own end as ss writes it: with the device that it is bound to. */
export function listensOn(netns: number, { flow, bound_ifindex }: Sock, known: Knowledge): string {
  if (bound_ifindex === 0) return local(flow);
  const device = known.device(netns, bound_ifindex) ?? `if${bound_ifindex}`;
  return `${bracketed(flow.saddr)}%${device}:${flow.sport}`;
}

/**
 * What is said of a listener that refused a segment: `one_of` so many that share its end, where it is
 * not known which.
 */
export function refusedAt(
  netns: number,
  { flow: { daddr, dport } }: Packet,
  listener: Sock | null,
  one_of: number,
  known: Knowledge,
) {
  const where = endpoint(daddr, dport);
  const sharing = Math.max(listener?.sharing ?? 0, one_of);
  const held_by = listener ? known.holders(listener.id) : [];
  const which = sharing > 1 ? ` ${listener?.id ?? 'any'}` : '';
  return {
    subject: 'listener' as const,
    where,
    group: `${netns} ${daddr} ${dport}${which}`,
    owner: ownerOf(listener?.owner),
    evidence: {
      listener: where,
      listens_on: listener ? listensOn(netns, listener, known) : null,
      listeners: sharing > 1 ? sharing : null,
      listener_known: sharing > 1 ? listener !== null : null,
      held_by: held_by.length > 1 ? held_by.map(({ comm, pid }) => `${comm} (${pid})`) : null,
    },
  };
}

/** Which of the listeners of an end, in a few words after its name. */
export function whichListener(listeners: number | null, known: boolean | null): string {
  if (listeners === null) return '';
  return known ? ` (1 of ${listeners} listeners)` : ` (one of ${listeners} listeners)`;
}

/** What to do where several listeners share an end by SO_REUSEPORT, or processes one listener. */
export function sharedAdvice(
  { listeners, listener_known, held_by }: SharedEvidence,
  port: number,
): string[] {
  const all = `\`ss -ltnp 'sport = :${port}'\``;
  return [
    ...(listeners === null
      ? []
      : [
          listener_known
            ? `the kernel spreads connections over ${listeners} listeners (SO_REUSEPORT): the others do not take what waits at this one: ${all}`
            : `which of the ${listeners} (SO_REUSEPORT)? Its Recv-Q is above its Send-Q: ${all}`,
        ]),
    ...(held_by === null
      ? []
      : [
          `the listener is open in ${held_by.length} processes, of which any may accept: ${inWords(held_by.join(', '))}`,
        ]),
  ];
}

interface SharedEvidence {
  listeners: number | null;
  listener_known: boolean | null;
  held_by: string[] | null;
}

/** Of every architecture but MIPS and the like. */
const SIGNALS: { [number: number]: string } = {
  1: 'SIGHUP',
  2: 'SIGINT',
  3: 'SIGQUIT',
  4: 'SIGILL',
  5: 'SIGTRAP',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  13: 'SIGPIPE',
  14: 'SIGALRM',
  15: 'SIGTERM',
  24: 'SIGXCPU',
  31: 'SIGSYS',
};

/** Who closed a socket that sent a reset by that; where it was no close, whose the socket is. */
export function closedBy({ sock, running, stack }: ResetSent, known: Knowledge): Owner | null {
  return (closes(stack, known) && ownerOf(running ?? undefined)) || ownerOf(sock?.owner);
}

/** How the process ended that closed it thereby: `SIGKILL`, `exit status 1`; null: it did not end. */
export function endOfProcess(
  { process_ends, exit_status, stack }: ResetSent,
  known: Knowledge,
): string | null {
  if (process_ends === 0 || !closes(stack, known)) return null;
  const signal = exit_status & 0x7f;
  return signal === 0
    ? `exit status ${exit_status >>> 8}`
    : (SIGNALS[signal] ?? `signal ${signal}`);
}

/** Only what a process does itself is its own: a timer may interrupt whatever runs. */
function closes(stack: readonly string[], known: Knowledge): boolean {
  return callers(stack, known).some((name) => CLOSING_CALLS.includes(name));
}

const CLOSING_CALLS = ['__tcp_close', '__mptcp_close', 'inet_csk_listen_stop'];

/** `its process was killed (SIGKILL)`, `its process ended (exit status 1)`. */
export function endText(process_end: string): string {
  return `its process ${isKilled(process_end) ? 'was killed' : 'ended'} (${process_end})`;
}

const isKilled = (process_end: string) => /^sig/i.test(process_end);

/** What to look at where connections are reset because their process ended. */
export function endAdvice(process_end: string, at: string): string {
  if (!isKilled(process_end))
    return `${at}: its process ended with connections open (${process_end}): why? Look in its own log, and for who stopped it: \`journalctl -e\``;
  return process_end === 'SIGKILL'
    ? `${at}: who killed its process? The kernel for lack of memory: \`journalctl -k --grep 'Killed process'\`; or whatever stops it, after its time to stop was over`
    : `${at}: its process did not end by itself (${process_end}): \`coredumpctl list\`, and its own log`;
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
