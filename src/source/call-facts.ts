// SPDX-License-Identifier: Apache-2.0

import { cpu_ms as thisThread_ms } from '../host/kernel.ts';
import { beforeRedirect } from '../tcp/conntrack.ts';
import { ERRNO } from '../tcp/errno.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import { LOOPBACK_IFINDEX } from '../tcp/loopback.ts';
import { TCP_STATE } from '../tcp/states.ts';
import { encodeEvent } from '../wire/decode.ts';
import { sharedBy } from '../wire/key.ts';
import type { CallFailed, ConnectAsked, Drop, Sock, SynReceived } from '../wire/types.gen.ts';
import { u32, u64, type Words } from '../wire/words.ts';
import { AT, BODY, readCommon } from '../wire/written.gen.ts';
import type { Layout } from '../wire/written.ts';

/** Routes, rules and programs come and go: so long what was told of a failure holds. */
const HOLDS_NS = 1e9;
/** Asking may take so long at once, and so much of the time. */
const BUDGET_MS = 2000;
const SHARE = 0.2;
const MAX_REMEMBERED = 4096;
/** Of what found no room to be counted apart. */
const NO_KEY = '0';

/** Errnos of routes and rules that refuse: of prohibit, blackhole and unreachable. */
const REFUSED: ReadonlySet<number> = new Set([ERRNO.EACCES, ERRNO.EINVAL, ERRNO.EHOSTUNREACH]);

/** Counters of a SYN for which there was no room: its answer was not routed. */
const QUEUES = [
  AT.MibDelta.listen_overflows,
  AT.MibDelta.tcp_req_q_full_drop,
  AT.MibDelta.tcp_req_q_full_do_cookies,
];

/** Of a connect that ended without an answer; 0: its program closed it. */
const SILENT: ReadonlySet<number> = new Set([0, ERRNO.ETIMEDOUT]);
/** Of an open connection that did. */
const LOST: ReadonlySet<number> = new Set([ERRNO.ETIMEDOUT, ERRNO.EHOSTUNREACH, ERRNO.ENETUNREACH]);

const NOTHING: never[] = [];

type Answer = Omit<ConnectAsked, 'key'> | null;

/** What the host says of calls that failed, of routes and of its addresses; null where the namespace is gone. */
export interface CallHost {
  failed(netns: number, failed: CallFailed): Answer;
  sent(netns: number, drop: Drop): Answer;
  /** The way back to whom the reverse path filter refused. */
  back(netns: number, drop: Drop): Answer;
  /** Programs that may have put another address in place of what a process dialled; null: none. */
  dialledBy(sock: Pick<Sock, 'owner' | 'flow'>): Answer;
  /** The route or rule that refuses what came in for others, and the answer to a SYN. */
  passing(netns: number, drop: Drop): Answer;
  answer(netns: number, syn: SynReceived): Answer;
  /** Which ports are given to no connect. */
  ports(netns: number): Answer;
  /**
   * Whether an address is one of the namespace's, and may be used; a segment was for it, and came in by a device, or
   * from it (0): an address that went with that device was there.
   */
  address(netns: number, address: string, ifindex: number): Answer;
  /** Whether a segment for an address that is not here is dropped for this reason. */
  isNotOurs(reason: number): boolean;
  /** Whether no socket took what is dropped for this reason. */
  hasNoSocket(reason: number): boolean;
  /** Whether the reverse path filter drops for this reason. */
  isByPathFilter(reason: number): boolean;
  /** Whether netfilter frees what is dropped for this reason at that place. */
  isByNetfilter(reason: number, location: string): boolean;
}

/**
 * Asks why a connect() or bind() failed, when one did; for the route of what was sent elsewhere, and dropped; for
 * the way back to whom the reverse path filter refused; what refuses a segment for others, or the answer to a SYN; which ports are reserved, where a connect was given none;
 * and whether an address is this host's for which something came that nobody took, or from which nothing that was
 * sent is answered.
 */
export class CallFacts {
  readonly #host: CallHost;
  readonly #cpu_ms: () => number;
  /** By key: until when what was told holds. */
  readonly #told = new Map<string, number>();
  /** By namespace and address. */
  readonly #addresses = new Map<string, { answer: Answer; until_ns: number }>();
  #budget_ms = BUDGET_MS;
  #at_ns = 0;

  constructor(host: CallHost, cpu_ms = thisThread_ms) {
    this.#host = host;
    this.#cpu_ms = cpu_ms;
  }

  /** The fact that the record at `at` needs, where it was not told lately, serialized. */
  of(w: Words, at: number, layout: Layout): Uint8Array[] {
    switch (layout.kind) {
      case 'call_failed':
        return this.#asked(w, at, (netns) => this.#host.failed(netns, layout.body(w, at)));
      case 'drop': {
        const drop = at + BODY + AT.Drop.reason;
        if (this.#host.isNotOurs(u32(w, drop))) {
          const { daddr } = layout.body(w, at).packet.flow;
          return this.#ofAddress(
            w,
            at,
            daddr,
            ({ tentative, duplicate }) => tentative + duplicate > 0,
          );
        }
        if (this.#host.hasNoSocket(u32(w, drop))) return this.#ofLoopback(w, at, layout);
        if (this.#isByPathFilter(w, at + BODY))
          return this.#asked(w, at, (netns) => this.#host.back(netns, layout.body(w, at)));
        if (REFUSED.has(u32(w, at + BODY + AT.Drop.route_errno)))
          return this.#asked(w, at, (netns) => this.#host.passing(netns, layout.body(w, at)));
        const location = u64(w, at + BODY + AT.Drop.location);
        if (!this.#host.isByNetfilter(u32(w, drop), location)) return NOTHING;
        const body: Drop = layout.body(w, at);
        if (body.packet.ifindex > 0 || !beforeRedirect(body.packet, body.conntrack)) return NOTHING;
        return this.#asked(w, at, (netns) => this.#host.sent(netns, body));
      }
      case 'syn_received': {
        const counted = at + BODY + AT.SynReceived.mib;
        if (u32(w, counted + AT.MibDelta.listen_drops) === 0) return NOTHING;
        if (QUEUES.some((counter) => u32(w, counted + counter) > 0)) return NOTHING;
        return this.#asked(w, at, (netns) => this.#host.answer(netns, layout.body(w, at)));
      }
      case 'reset_sent': {
        const flags = u32(w, at + BODY + AT.ResetSent.packet + AT.Packet.flags);
        if ((flags & (TCP_FLAG.syn | TCP_FLAG.ack)) !== TCP_FLAG.syn) return NOTHING;
        const { packet, sock } = layout.body(w, at);
        if (!packet || sock) return NOTHING;
        return this.#ofAddress(
          w,
          at,
          packet.flow.daddr,
          ({ source_missing }) => source_missing > 0,
          packet.ifindex,
        );
      }
      case 'state_change': {
        const change = at + BODY;
        const old_state = u32(w, change + AT.StateChange.old_state);
        if (u32(w, change + AT.StateChange.new_state) !== TCP_STATE.CLOSE) return NOTHING;
        // IPv6 sends with a source that is not here, too.
        const { sock } = layout.body(w, at);
        const isConnect = old_state === TCP_STATE.SYN_SENT;
        if (isConnect && sock.flow.sport === 0 && sock.err === 0)
          return this.#asked(w, at, (netns) => this.#host.ports(netns));
        if (isConnect && sock.retransmits === 0) return NOTHING;
        if (!(isConnect ? SILENT : LOST).has(sock.err)) return NOTHING;
        const missing = ({ source_missing }: NonNullable<Answer>) => source_missing > 0;
        const told = this.#ofAddress(w, at, sock.flow.saddr, missing);
        return told.length > 0 || !isConnect ? told : this.#dialledBy(w, at, sock);
      }
      case 'reset_received': {
        const state = at + BODY + AT.ResetReceived.sock + AT.Sock.state;
        if (u32(w, state) !== TCP_STATE.SYN_SENT) return NOTHING;
        return this.#dialledBy(w, at, layout.body(w, at).sock);
      }
      default:
        return NOTHING;
    }
  }

  #dialledBy(w: Words, at: number, sock: Pick<Sock, 'owner' | 'flow'>): Uint8Array[] {
    // Nobody knows whose it is.
    if (sock.owner.cgroup === '0') return NOTHING;
    return this.#asked(w, at, () => this.#host.dialledBy(sock));
  }

  /** By its reason, by what counted it, or by how the check of its sender ended. */
  #isByPathFilter(w: Words, drop: number): boolean {
    return (
      this.#host.isByPathFilter(u32(w, drop + AT.Drop.reason)) ||
      u32(w, drop + AT.Drop.mib + AT.MibDelta.ip_reverse_path_filter) > 0 ||
      u32(w, drop + AT.Drop.source_errno) === ERRNO.EXDEV
    );
  }

  /** What a connect by `lo` sends to another host comes in there, and nobody takes or answers it. */
  #ofLoopback(w: Words, at: number, layout: Layout): Uint8Array[] {
    const packet = at + BODY + AT.Drop.packet;
    const flags = u32(w, packet + AT.Packet.flags);
    if (u32(w, packet + AT.Packet.ifindex) !== LOOPBACK_IFINDEX) return NOTHING;
    if ((flags & (TCP_FLAG.syn | TCP_FLAG.ack)) !== TCP_FLAG.syn) return NOTHING;
    const { daddr } = (layout.body(w, at) as Drop).packet.flow;
    return this.#ofAddress(w, at, daddr, ({ source_missing }) => source_missing > 0);
  }

  /** Everything is told again. */
  forget(): void {
    this.#told.clear();
  }

  /** One answer is for everything that comes to the address; told is what is out of the ordinary. */
  #ofAddress(
    w: Words,
    at: number,
    address: string,
    isWorthIt: (answer: NonNullable<Answer>) => boolean,
    ifindex = 0,
  ): Uint8Array[] {
    const { ktime_ns, netns } = readCommon(w, at);
    const id = `${netns} ${address}`;
    let known = this.#addresses.get(id);
    if (!known || ktime_ns >= known.until_ns) {
      if (!this.#hasTime(ktime_ns)) return NOTHING;
      const began_ms = this.#cpu_ms();
      known = {
        answer: this.#host.address(netns, address, ifindex),
        until_ns: ktime_ns + HOLDS_NS,
      };
      this.#budget_ms -= this.#cpu_ms() - began_ms;
      if (this.#addresses.size >= MAX_REMEMBERED) this.#addresses.clear();
      this.#addresses.set(id, known);
    }
    const { answer } = known;
    return answer && isWorthIt(answer) ? this.#asked(w, at, () => answer) : NOTHING;
  }

  #hasTime(ktime_ns: number): boolean {
    const passed_ms = Math.max(0, ktime_ns - this.#at_ns) / 1e6;
    this.#at_ns = ktime_ns;
    this.#budget_ms = Math.min(BUDGET_MS, this.#budget_ms + SHARE * passed_ms);
    return this.#budget_ms >= 0;
  }

  #asked(w: Words, at: number, ask: (netns: number) => Answer): Uint8Array[] {
    const { ktime_ns, netns, key } = readCommon(w, at);
    // Of what is counted with others one answer would be taken for all of them.
    if (key === NO_KEY || sharedBy(key) !== null) return NOTHING;
    if (ktime_ns < (this.#told.get(key) ?? 0)) return NOTHING;
    if (!this.#hasTime(ktime_ns)) return NOTHING;
    const began_ms = this.#cpu_ms();
    const asked = ask(netns);
    this.#budget_ms -= this.#cpu_ms() - began_ms;
    if (this.#told.size >= MAX_REMEMBERED) this.#told.clear();
    this.#told.set(key, ktime_ns + HOLDS_NS);
    return asked
      ? [encodeEvent({ ktime_ns, fact: { connect_asked: { key, ...asked } } })]
      : NOTHING;
  }
}
