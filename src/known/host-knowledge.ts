// SPDX-License-Identifier: Apache-2.0

import type { Family } from '../tcp/address.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import { TCP_STATE } from '../tcp/states.ts';
import type { Event } from '../wire/event.ts';
import type {
  Captured,
  CauseTold,
  ConnectAsked,
  Conntrack,
  DeviceHooks,
  Drop,
  Flow,
  Header,
  Symbol as KernelSymbol,
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
import { connectionId, sourceToDestination } from './connection-id.ts';
import type { Place } from './container.ts';
import { type DroppedBy, DropRulesTold } from './drop-rules.ts';
import { DroppedAgain } from './dropped-again.ts';
import { type EndedListener, EndedListeners } from './ended-listeners.ts';
import { ExpiringMap } from './expiring-map.ts';
import { type FailedConnect, FailedConnects } from './failed-connects.ts';
import { type ExpiredRequest, HalfOpen } from './half-open.ts';
import { isSince } from './kernel.ts';
import type { Knowledge, Listener } from './knowledge.ts';
import { Newest } from './newest.ts';
import { OtherEnds } from './other-ends.ts';
import { Places, type Resident } from './places.ts';
import { type ResentSyn, ResentSyns } from './resent-syns.ts';
import { type Stalled, type StallKind, Stalls } from './stalls.ts';

/** Knowledge as it grows with the events: listeners while they are there. */
export class HostKnowledge implements Knowledge {
  readonly #header: Header;
  readonly #drop_reasons: ReadonlyMap<number, string>;
  readonly #reset_reasons: ReadonlyMap<number, string>;
  readonly #symbols = new Newest<string, { name: string; module: string }>(MOST_TOLD);
  readonly #places = new Places();
  readonly #listeners = new Map<string, Listener>();
  /** Those of each port, and of each network namespace, by their sockets. */
  readonly #on_ports = new Map<number, Map<string, Listener>>();
  readonly #in_netns = new Map<number, Map<string, Listener>>();
  readonly #rewriters: PeerRewriter[] = [];
  readonly #holders = new Newest<string, Process[]>(MOST_TOLD);
  readonly #processes = new Newest<number, ProcessState>(MOST_TOLD);
  readonly #devices = new Newest<string, string>(MOST_TOLD);
  readonly #hooks = new Newest<string, DeviceHooks>(MOST_TOLD);
  readonly #socket_hooks = new Newest<string, SocketHooks>(MOST_TOLD);
  readonly #lookup_hooks = new Newest<number, LookupHooks>(MOST_TOLD);
  #orphans: Orphans | null = null;
  #told: readonly CauseTold[] = [];
  readonly #neighbour_tables = new Newest<number, NeighbourTable>(MOST_TOLD);
  readonly #captured = new ExpiringMap<Captured>(0, MAX_CAPTURED);
  readonly #asked = new ExpiringMap<ConnectAsked>(ASKED_SPAN_NS, MAX_ASKED);
  readonly failed_connects = new FailedConnects();
  readonly #nat_now = new ExpiringMap<readonly string[]>(ENTRY_SPAN_NS, MAX_ENTRIES);
  readonly #table_users = new Newest<number, TableUsers>(MOST_TOLD);
  readonly #tracking_limits = new Newest<number, TrackingLimits>(MOST_TOLD);
  readonly #entries = new ExpiringMap<Conntrack>(ENTRY_SPAN_NS, MAX_ENTRIES);
  readonly #unsent = new ExpiringMap<Drop>(ENTRY_SPAN_NS, MAX_ENTRIES);
  readonly #other_ends = new OtherEnds();
  readonly #stalls = new Stalls();
  readonly #half_open = new HalfOpen();
  readonly #resent_syns = new ResentSyns();
  readonly #dropped = new DroppedAgain();
  readonly #drop_rules = new DropRulesTold();
  readonly #ended_listeners = new EndedListeners();
  readonly #has_drop_reasons: boolean;

  constructor(header: Header) {
    this.#header = header;
    this.#drop_reasons = namesOf(header, 'skb_drop_reason');
    this.#reset_reasons = namesOf(header, 'sk_rst_reason');
    const names = [...this.#drop_reasons.values()];
    this.#has_drop_reasons = names.some((name) => name !== 'NOT_SPECIFIED');
  }

  /** Takes in what an event says of the host; true where it says nothing else. */
  learn(event: Event): boolean {
    this.#places.learn(event);
    this.failed_connects.learn(event);
    this.#other_ends.learn(event);
    this.#stalls.learn(event);
    this.#half_open.learn(event);
    this.#resent_syns.learn(event);
    this.#dropped.learn(event);
    this.#drop_rules.learn(event);
    this.#ended_listeners.learn(event, this);
    switch (event.kind) {
      case 'fact': {
        const {
          symbol,
          peer_rewriter,
          device,
          holders,
          device_hooks,
          socket_hooks,
          lookup_hooks,
          orphans,
          neighbour_table,
          process,
          connect_asked,
          nat_now,
          table_users,
          tracking_limits,
          told_by_texts,
        } = event.body;
        if (symbol) this.#name(symbol);
        if (peer_rewriter) this.#attach(peer_rewriter);
        if (device) this.#devices.set(`${device.netns} ${device.ifindex}`, device.device);
        if (orphans) this.#orphans = orphans;
        if (told_by_texts) this.#told = told_by_texts.causes;
        if (neighbour_table) this.#neighbour_tables.set(neighbour_table.family, neighbour_table);
        if (lookup_hooks) this.#lookup_hooks.set(lookup_hooks.netns, lookup_hooks);
        if (process) this.#processes.set(process.pid, process);
        if (connect_asked) this.#asked.set(connect_asked.key, connect_asked, event.ktime_ns);
        if (nat_now?.dialled) {
          const { netns, dialled, ends } = nat_now;
          this.#nat_now.set(`${netns} ${sourceToDestination(dialled)}`, ends, event.ktime_ns);
        }
        if (table_users) this.#table_users.set(table_users.netns, table_users);
        if (tracking_limits) this.#tracking_limits.set(tracking_limits.netns, tracking_limits);
        if (device_hooks)
          this.#hooks.set(`${device_hooks.netns} ${device_hooks.device}`, device_hooks);
        if (socket_hooks) {
          const { cgroup, socket_filter_id } = socket_hooks;
          this.#socket_hooks.set(`${cgroup} ${socket_filter_id}`, socket_hooks);
        }
        if (holders) this.#holders.set(holders.listener, holders.processes);
        return true;
      }
      case 'captured':
        this.#captured.set(connectionId(event.body.flow), event.body, event.ktime_ns);
        return true;
      case 'socket':
        if (event.body.sock.state === TCP_STATE.LISTEN) this.#listen(event.netns, event.body.sock);
        return true;
      case 'state_change': {
        const { sock, new_state, old_state } = event.body;
        if (new_state === TCP_STATE.LISTEN) this.#listen(event.netns, sock);
        else if (old_state === TCP_STATE.LISTEN) {
          this.#forget(sock.id);
          this.#holders.delete(sock.id);
        }
        return false;
      }
      case 'retransmit': {
        const { sock, conntrack } = event.body;
        if (conntrack && event.body.passing === 0)
          this.#entries.set(sourceToDestination(sock.flow), conntrack, event.ktime_ns);
        return false;
      }
      case 'drop': {
        const { packet, conntrack } = event.body;
        if (packet.ifindex === 0) {
          if (conntrack?.sent && packet.flags & TCP_FLAG.syn)
            this.#entries.set(sourceToDestination(conntrack.sent), conntrack, event.ktime_ns);
          const { flow } = packet;
          const isAnswer = (conntrack?.info ?? 0) >= REPLY;
          const as_dialled = sourceToDestination((isAnswer ? null : conntrack?.sent) ?? flow);
          for (const key of [as_dialled, `${event.netns} ${flow.daddr}`])
            this.#unsent.set(key, event.body, event.ktime_ns);
        }
        return false;
      }
      default:
        return false;
    }
  }

  /** Without a name: what was there is gone, and nothing is known of what is there now. */
  #name(symbol: KernelSymbol): void {
    if (symbol.name === '') this.#symbols.delete(symbol.address);
    else this.#symbols.set(symbol.address, { ...symbol, name: asKey(symbol.name) });
  }

  /** Facts are told again at times. */
  #attach(found: PeerRewriter): void {
    const known = ({ program_id, cgroup_path }: PeerRewriter) =>
      program_id === found.program_id && cgroup_path === found.cgroup_path;
    if (this.#rewriters.some(known)) return;
    this.#rewriters.push(found);
    if (this.#rewriters.length > MOST_REWRITERS) this.#rewriters.shift();
  }

  #listen(netns: number, sock: Sock): void {
    this.#forget(sock.id);
    if (this.#listeners.size >= MAX_LISTENERS)
      for (const oldest of this.#listeners.keys()) {
        this.#forget(oldest);
        break;
      }
    const listener = { netns, sock };
    this.#listeners.set(sock.id, listener);
    for (const [by, key] of this.#indexes(listener))
      by.set(key, (by.get(key) ?? new Map()).set(sock.id, listener));
  }

  #forget(id: string): void {
    const listener = this.#listeners.get(id);
    if (!listener) return;
    this.#listeners.delete(id);
    for (const [by, key] of this.#indexes(listener)) {
      const those = by.get(key);
      those?.delete(id);
      if (those?.size === 0) by.delete(key);
    }
  }

  #indexes({ netns, sock }: Listener): [Map<number, Map<string, Listener>>, number][] {
    return [
      [this.#on_ports, sock.flow.sport],
      [this.#in_netns, netns],
    ];
  }

  dropReason(reason: number): string {
    return this.#drop_reasons.get(reason) ?? `#${reason}`;
  }

  resetReason(reason: number): string {
    return this.#reset_reasons.get(reason) ?? `#${reason}`;
  }

  symbol(address: string) {
    return this.#symbols.get(address) ?? null;
  }

  place(owner: Pick<Owner, 'cgroup' | 'pid'>, { ktime_ns }: Event): Place {
    return this.#places.of(owner, ktime_ns);
  }

  residents(flow: Flow, event: Event): Resident[] {
    return this.#places.residents(flow, event, this);
  }

  listenersOnPort(port: number): Listener[] {
    return [...(this.#on_ports.get(port)?.values() ?? [])];
  }

  listenersIn(netns: number): Iterable<Listener> {
    return this.#in_netns.get(netns)?.values() ?? [];
  }

  endedListener({ netns, ktime_ns }: Event, port: number): EndedListener | null {
    return this.#ended_listeners.onPort(netns, port, ktime_ns);
  }

  exitStatus({ ktime_ns }: Event, pid: number): number | null {
    return this.#ended_listeners.exitStatus(pid, ktime_ns);
  }

  holders(listener: string): readonly Process[] {
    return this.#holders.get(listener) ?? [];
  }

  process(pid: number): ProcessState | null {
    return this.#processes.get(pid) ?? null;
  }

  device(netns: number, ifindex: number): string | null {
    return this.#devices.get(`${netns} ${ifindex}`) ?? null;
  }

  hooksOf(netns: number, device: string): DeviceHooks | null {
    return this.#hooks.get(`${netns} ${device}`) ?? null;
  }

  socketHooks(cgroup: string, socket_filter_id: number): SocketHooks | null {
    return this.#socket_hooks.get(`${cgroup} ${socket_filter_id}`) ?? null;
  }

  lookupHooks(netns: number): LookupHooks | null {
    return this.#lookup_hooks.get(netns) ?? null;
  }

  orphans(): Orphans | null {
    return this.#orphans;
  }

  neighbourTable(family: Family): NeighbourTable | null {
    return this.#neighbour_tables.get(family) ?? null;
  }

  toldOf(cause: string): readonly CauseTold[] {
    return this.#told.filter((one) => one.cause === cause);
  }

  captured(flow: Flow, { ktime_ns }: Event): Captured | null {
    return this.#captured.get(connectionId(flow), ktime_ns) ?? null;
  }

  asked({ key, ktime_ns }: Event): ConnectAsked | null {
    return this.#asked.get(key, ktime_ns) ?? null;
  }

  hasDropReasons(): boolean {
    return this.#has_drop_reasons;
  }

  namesDropReason(name: string): boolean {
    return [...this.#drop_reasons.values()].includes(name);
  }

  watchesPorts(): readonly string[] {
    return this.#header.filters.filter((one) => one.includes('port '));
  }

  tellsOfBound(): boolean {
    return isSince(this.#header.kernel, 6, 8);
  }

  checksSources(): boolean {
    return this.#header.hooks.some(({ hook }) => hook.includes('fib_validate_source'));
  }

  sysctl(name: string, netns: number): string | null {
    return netns === this.#header.netns ? (this.#header.sysctls[name] ?? null) : null;
  }

  cgroupPath(cgroup: string): string | null {
    return this.#places.cgroupPath(cgroup);
  }

  rewriters(cgroup: string): readonly PeerRewriter[] {
    const path = this.cgroupPath(cgroup);
    if (path === null) return this.#rewriters;
    return this.#rewriters.filter(({ cgroup_path: on }) =>
      `${path}/`.startsWith(on === '/' ? '/' : `${on}/`),
    );
  }

  redirect(flow: Flow, ktime_ns: number): Conntrack | null {
    const entry = this.entryOf(flow, ktime_ns);
    return entry && entry.status & DST_NAT ? entry : null;
  }

  entryOf(flow: Flow, ktime_ns: number): Conntrack | null {
    return this.#entries.get(sourceToDestination(flow), ktime_ns) ?? null;
  }

  unsent(flow: Flow, ktime_ns: number): Drop | null {
    return this.#unsent.get(sourceToDestination(flow), ktime_ns) ?? null;
  }

  unsentTo(netns: number, daddr: string, ktime_ns: number): Drop | null {
    return this.#unsent.get(`${netns} ${daddr}`, ktime_ns) ?? null;
  }

  natNow(netns: number, dialled: Flow, ktime_ns: number): readonly string[] {
    return this.#nat_now.get(`${netns} ${sourceToDestination(dialled)}`, ktime_ns) ?? [];
  }

  tableUsers(netns: number): TableUsers | null {
    return this.#table_users.get(netns) ?? null;
  }

  trackingLimits(netns: number): TrackingLimits | null {
    return this.#tracking_limits.get(netns) ?? null;
  }

  failedConnect(event: Event): FailedConnect | null {
    return this.failed_connects.because(event);
  }

  otherEnd(event: Event): Event | null {
    return this.#other_ends.of(event);
  }

  stall(event: Event, ...kinds: StallKind[]): Stalled | null {
    return this.#stalls.of(event, kinds);
  }

  wasUnread(event: Event<'unaccepted'>): boolean {
    return this.#stalls.wasUnread(event);
  }

  resentSyn(event: Event): ResentSyn | null {
    return this.#resent_syns.of(event);
  }

  expiredRequest(event: Event): ExpiredRequest | null {
    return this.#half_open.of(event);
  }

  droppedBefore_ms(event: Event): number | null {
    return this.#dropped.before_ms(event);
  }

  droppedBy(event: Event): DroppedBy | null {
    return this.#drop_rules.of(event);
  }
}

/** Of what a packet is of its entry, and above: not of its first direction (enum ip_conntrack_info). */
const REPLY = 3;

/** Of an entry's status: its destination is translated (IPS_DST_NAT). */
const DST_NAT = 1 << 5;

/** A SYN is sent again after 120 s at the latest. */
const ENTRY_SPAN_NS = 130e9;
const MAX_ENTRIES = 4096;
const MAX_LISTENERS = 65_536;
/** Of each other thing that the host told. */
const MOST_TOLD = 4096;
const MOST_REWRITERS = 256;

/** It is told again of who fails again after a second. */
const ASKED_SPAN_NS = 10e9;
const MAX_ASKED = 4096;

/** It is told just before what it is beside. */
const MAX_CAPTURED = 64;

/** Of the last table of that name, as HostKnowledge looks them up: dozens of causes ask of each event. */
function namesOf({ enums }: Header, name: string): Map<number, string> {
  const names = enums.findLast((table) => table.name === name)?.names ?? {};
  return new Map(Object.entries(names).map(([number, text]) => [Number(number), asKey(text)]));
}

/**
 * The same text as the engine has it for names of properties, of which there is one each: to compare it with
 * such, or look it up among them, takes no look at its characters.
 */
function asKey(text: string): string {
  return Object.keys({ [text]: 0 })[0] as string;
}
