// SPDX-License-Identifier: Apache-2.0

import type { Family } from '../tcp/address.ts';
import type { Event } from '../wire/event.ts';
import type {
  Captured,
  CauseTold,
  ConnectAsked,
  Conntrack,
  DeviceHooks,
  Drop,
  Flow,
  LookupHooks,
  NeighbourTable,
  Orphans,
  Owner,
  PeerRewriter,
  Process,
  ProcessState,
  Sock,
  SocketHooks,
  TableUsers,
  TrackingLimits,
} from '../wire/types.gen.ts';
import type { Place } from './container.ts';
import type { DroppedBy } from './drop-rules.ts';
import type { EndedListener } from './ended-listeners.ts';
import type { FailedConnect } from './failed-connects.ts';
import type { ExpiredRequest } from './half-open.ts';
import type { Resident } from './places.ts';
import type { ResentSyn } from './resent-syns.ts';
import type { Stalled, StallKind } from './stalls.ts';

/** A listening socket, and the namespace it listens in. */
export interface Listener {
  netns: number;
  sock: Sock;
}

/** Of what things are called there, and who listens: the header tells this, and events of NAMING. */
export interface Names {
  /** As the kernel's enum spells it, without its prefix: NO_SOCKET. */
  dropReason(reason: number): string;
  resetReason(reason: number): string;
  /** Whether this kernel gives reasons for drops at all (5.17 and later). */
  hasDropReasons(): boolean;
  /** Name of the kernel function at an address, null where the host did not tell. */
  symbol(address: string): { name: string; module: string } | null;
  listenersOnPort(port: number): Listener[];
}

export const NAMING = ['fact', 'socket', 'state_change'] as const;

/** What a cause may ask about the host that made the events. */
export interface Knowledge extends Names {
  /** Where a process was at an event: its container, pod and unit. */
  place(owner: Pick<Owner, 'cgroup' | 'pid'>, event: Event): Place;
  /** Those ends of a connection that are on this host, as an event of it tells. */
  residents(flow: Flow, event: Event): Resident[];
  /** There may be thousands: to be looked at as far as needed. */
  listenersIn(netns: number): Iterable<Listener>;
  /** The last listener of a port that is no more, as of the event; null: not known. */
  endedListener(event: Event, port: number): EndedListener | null;
  /** How a process ended that had listened or reset connections thereby, as wait() tells it; null: not known. */
  exitStatus(event: Event, pid: number): number | null;
  /** Every process that has a listener (its Sock.id) open, as far as the host told; none: it did not. */
  holders(listener: string): readonly Process[];
  /** What may keep a process from its work, as it was last; null where the host did not tell. */
  process(pid: number): ProcessState | null;
  /** Name of a network device, null where the host did not tell. */
  device(netns: number, ifindex: number): string | null;
  /** What may drop segments at a device, as it was when one was dropped; null where the host did not tell. */
  hooksOf(netns: number, device: string): DeviceHooks | null;
  /** Programs that may drop what a socket of a cgroup sends or receives; null where the host did not tell. */
  socketHooks(cgroup: string, socket_filter_id: number): SocketHooks | null;
  /** Programs of a namespace that choose sockets for what arrives; null where the host did not tell. */
  lookupHooks(netns: number): LookupHooks | null;
  /** As they were told last, which is when one was too many; null where the host did not tell. */
  orphans(): Orphans | null;
  /** The same of the entries for next hops, when one had no room. */
  neighbourTable(family: Family): NeighbourTable | null;
  /** What the host made of a call that failed, asked just after it; null where it did not tell. */
  asked(event: Event): ConnectAsked | null;
  /** Whether its enum has this one: what a reason means depends on which others there are. */
  namesDropReason(name: string): boolean;
  /** Ports that a connection needs one of for being watched, as `port 80 or port 81`; empty: it needs none. */
  watchesPorts(): readonly string[];
  /** Whether this kernel tells, when it is asked, of sockets that are bound and nothing else (6.8 and later). */
  tellsOfBound(): boolean;
  /** Whether drops tell how the check of their sender's address ended. */
  checksSources(): boolean;
  /** `net/ipv4/tcp_syncookies` at the start; null in namespaces other than tcpwhy's own. */
  sysctl(name: string, netns: number): string | null;
  /** Cgroup programs that may rewrite the peers of a socket in this cgroup, attached to it or its ancestors. */
  rewriters(cgroup: string): readonly PeerRewriter[];
  /** Null where the host did not tell. */
  cgroupPath(cgroup: string): string | null;
  /** Where this host sent a connect in place of what was dialled, seen as its SYN was sent again; null: it did not, as far as is known. */
  redirect(flow: Flow, ktime_ns: number): Conntrack | null;
  /** What connection tracking had of a connect of this host as its SYN was sent again, or could not leave; null: not known. */
  entryOf(flow: Flow, ktime_ns: number): Conntrack | null;
  /** The last segment of a connection of this host, as it dialled, that was dropped on its way out; null: none, as far as is known. */
  unsent(flow: Flow, ktime_ns: number): Drop | null;
  /** The same of any to this address. */
  unsentTo(netns: number, daddr: string, ktime_ns: number): Drop | null;
  /** Every end that rules which translate would send a new connection to now, as it was dialled; empty: not known. */
  natNow(netns: number, dialled: Flow, ktime_ns: number): readonly string[];
  /** Who had most entries of a table of connection tracking when it was full; null where the host did not tell. */
  tableUsers(netns: number): TableUsers | null;
  /** When its connection tracking ends entries, as it was last; null where the host did not tell. */
  trackingLimits(netns: number): TrackingLimits | null;
  /** Of a reset that was sent: the connect of the same process that had failed just before. */
  failedConnect(event: Event): FailedConnect | null;
  /** Of a reset between two ends of this host that it translates between them: what the other end told of it. */
  otherEnd(event: Event): Event | null;
  /** Of a sender or receiver that gets no further: which stall of these the event is of, and whether it opens it. */
  stall(event: Event, ...kinds: StallKind[]): Stalled | null;
  /** Whether the same was told of the connection before: that its process does not read. */
  wasUnread(event: Event<'unaccepted'>): boolean;
  /** Of a SYN of this host that was sent again: whether that is new of its connect. */
  resentSyn(event: Event): ResentSyn | null;
  /** Of a segment that was reset: the half-open connection that it was for, where that was given up before. */
  expiredRequest(event: Event): ExpiredRequest | null;
  /** Of a SYN or a large segment that was dropped: how long before this very one was first; null: it is the first. */
  droppedBefore_ms(event: Event): number | null;
  /** Of a capture: what else its packets show of the connection that an event tells of; null: nothing, or it is none. */
  captured(flow: Flow, event: Event): Captured | null;
  /** Of a capture: what counters and a log that were given with it say of a cause; empty: nothing. */
  toldOf(cause: string): readonly CauseTold[];
  /** Of a packet that netfilter dropped: which rules may have; null where the host did not tell. */
  droppedBy(event: Event): DroppedBy | null;
}
