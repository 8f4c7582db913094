// SPDX-License-Identifier: Apache-2.0

import type { NamespacePlace } from '../host/places.ts';
import { addressBytes } from '../tcp/address.ts';
import { encodeEvent } from '../wire/decode.ts';
import type { HostFact } from '../wire/types.gen.ts';
import { address, number64, u32, u64, type Words } from '../wire/words.ts';
import { AT, BODY } from '../wire/written.gen.ts';
import type { Layout } from '../wire/written.ts';
import type { ContainerFacts } from './container-facts.ts';

/** So long what was found of the host holds: an address may go to another namespace. */
const HOLDS_NS = 2e8;
/** So long what a process is in holds. */
const PROCESS_HOLDS_NS = 1e9;
/** After asking nobody asks again for so many times as long: there may be thousands of processes. */
const RESTS = 300;
const MAX_REMEMBERED = 4096;
/** Who has one address more often has it for a purpose of its own: a tunnel, a gateway of every container. */
const MOST_HAVING = 16;
const NOTHING: never[] = [];
const NOWHERE: readonly number[] = [];
const UNNAMED: NamespacePlace = { netns_name: '', entry: '', path: '/', addresses: [] };
/** So many ways are looked for before everything is asked anew. */
const MOST_WAYS = 64;

/** A fact with its addresses as bytes. */
type Told = { readonly [Name in keyof HostFact]?: object };

/** Fields of that name that are no owner's. */
const NOT_OF_OWNERS: { readonly [Kind in Layout['kind']]?: number } = {
  drop: BODY + AT.Drop.cgroup,
  peer_name: BODY + AT.PeerName.cgroup,
  call_failed: BODY + AT.CallFailed.cgroup,
};
/** From the cgroup of an owner to its process. */
const PID_FROM_CGROUP = AT.Owner.pid - AT.Owner.cgroup;

export interface PlacesHost {
  namespaces(): ReadonlyMap<number, NamespacePlace>;
  /** Null where there is no such process, or its number is another one here. */
  processCgroup(pid: number): string | null;
  /** By its identity in cgroup2, as it was told; null where it is gone, or there is no cgroup2. */
  cgroupPath(id: string): string | null;
  /** Whether a namespace sends what is for an address to another one. */
  waysOf(
    namespaces: ReadonlyMap<number, NamespacePlace>,
  ): (from: number, addr: string, home: number) => boolean;
  cpu_ms(): number;
}

/** Where the ends of a connection are on this host: the namespaces of their addresses, the cgroups of their processes. */
export class PlaceFacts {
  readonly #host: PlacesHost;
  readonly #containers: ContainerFacts;
  #namespaces: ReadonlyMap<number, NamespacePlace> = new Map();
  #addresses: ReadonlyMap<string, readonly number[]> = new Map();
  #leads: (from: number, addr: string, home: number) => boolean = () => false;
  /** What `#leads` said, and how long that took. */
  readonly #led = new Map<string, boolean>();
  #leading_ms = 0;
  #until_ns = Number.NEGATIVE_INFINITY;
  #rests_until_ns = Number.NEGATIVE_INFINITY;
  readonly #told_namespaces = new Map<number, NamespacePlace>();
  readonly #told_addresses = new Map<string, readonly number[]>();
  readonly #told_processes = new Map<number, { path: string | null; until_ns: number }>();

  constructor(host: PlacesHost, containers: ContainerFacts) {
    this.#host = host;
    this.#containers = containers;
  }

  /** Facts that the record at `at` needs and that were not told, serialized. */
  of(w: Words, at: number, layout: Layout): Uint8Array[] {
    const ktime_ns = number64(w, at + AT.Event.ktime_ns);
    const netns = u32(w, at + AT.Event.netns);
    this.#ask(ktime_ns, netns);
    const here = this.#namespace(netns);
    const ends = this.#ends(w, at, layout, netns);
    const processes = this.#processes(w, at, layout, ktime_ns);
    // Of nearly all there is nothing new.
    if (here.length + ends.length + processes.length === 0) return NOTHING;
    return [...here, ...ends, ...processes].map((fact) => encodeEvent({ ktime_ns, fact }));
  }

  /** Everything is told again. */
  forget(): void {
    this.#told_namespaces.clear();
    this.#told_addresses.clear();
    this.#told_processes.clear();
  }

  /** One that is new may have what others had. */
  #ask(ktime_ns: number, netns: number): void {
    if (ktime_ns < (this.#namespaces.has(netns) ? this.#until_ns : this.#rests_until_ns)) return;
    const began_ms = this.#host.cpu_ms();
    this.#namespaces = this.#host.namespaces();
    const took_ns = (this.#host.cpu_ms() - began_ms + this.#leading_ms) * 1e6;
    this.#rests_until_ns = ktime_ns + RESTS * took_ns;
    this.#until_ns = Math.max(ktime_ns + HOLDS_NS, this.#rests_until_ns);
    this.#addresses = addressesOf(this.#namespaces);
    this.#leads = this.#host.waysOf(this.#namespaces);
    this.#led.clear();
    this.#leading_ms = 0;
  }

  #ends(w: Words, at: number, { flows, words }: Layout, netns: number): Told[] {
    let facts: Told[] = NOTHING;
    for (let i = 0; i < flows.length; i++) {
      const flow = flows[i] as number;
      // A record may end before.
      if (flow + AT.Flow.service >= words) continue;
      const told = this.#flow(w, at + flow, netns);
      if (told.length > 0) facts = [...facts, ...told];
    }
    return facts;
  }

  #flow(w: Words, flow: number, netns: number): Told[] {
    const [source, destination] = [flow + AT.Flow.saddr, flow + AT.Flow.daddr];
    // Every flow that is there has one: the last words of IPv4, and of IPv6 the first ones.
    if ((w[destination + 3] as number) === 0 && (w[destination] as number) === 0) return NOTHING;
    const one = this.#address(address(w, source), netns);
    const other = this.#address(address(w, destination), netns);
    return one.length + other.length === 0 ? NOTHING : [...one, ...other];
  }

  #address(addr: string, from: number): Told[] {
    const having = this.#having(addr, from);
    const known = this.#told_addresses.get(addr) ?? NOWHERE;
    if (having === known) return NOTHING;
    if (this.#told_addresses.size >= MAX_REMEMBERED) this.#told_addresses.clear();
    this.#told_addresses.set(addr, having);
    const netns = [...having];
    if (String(known) === String(netns)) return NOTHING;
    return [
      ...netns.flatMap((one) => this.#namespace(one)),
      { host_address: { addr: addressBytes(addr), netns } },
    ];
  }

  /**
   * Who has an address, as one namespace sees it: another one only if what is sent there comes to it, because hosts
   * elsewhere may have the same.
   */
  #having(addr: string, from: number): readonly number[] {
    const having = this.#addresses.get(addr) ?? NOWHERE;
    const [home = from, another] = having;
    if (another !== undefined || home === from) return having;
    return this.#isLed(from, addr, home) ? having : NOWHERE;
  }

  #isLed(from: number, addr: string, home: number): boolean {
    const name = `${from} ${addr}`;
    const known = this.#led.get(name) ?? (this.#led.size >= MOST_WAYS ? false : undefined);
    if (known !== undefined) return known;
    const began_ms = this.#host.cpu_ms();
    const leads = this.#leads(from, addr, home);
    this.#leading_ms += this.#host.cpu_ms() - began_ms;
    this.#led.set(name, leads);
    return leads;
  }

  #namespace(netns: number): Told[] {
    const place = this.#namespaces.get(netns) ?? UNNAMED;
    const known = this.#told_namespaces.get(netns) ?? UNNAMED;
    if (place === known) return NOTHING;
    if (this.#told_namespaces.size >= MAX_REMEMBERED) this.#told_namespaces.clear();
    this.#told_namespaces.set(netns, place);
    const { netns_name, path } = place;
    if (known.netns_name === netns_name && known.path === path) return NOTHING;
    return [{ namespace: { netns, netns_name, path } }, ...this.#containers.of(path)];
  }

  /** Where cgroup2 says nothing, as with containers of the first version of cgroups. */
  #processes(w: Words, at: number, { kind, cgroups }: Layout, ktime_ns: number): Told[] {
    let facts: Told[] = NOTHING;
    for (let i = 0; i < cgroups.length; i += 2) {
      const place = cgroups[i] as number;
      if (place === NOT_OF_OWNERS[kind]) continue;
      const pid = u32(w, at + place + PID_FROM_CGROUP);
      if (pid === 0) continue;
      const known = this.#told_processes.get(pid);
      if (known && ktime_ns < known.until_ns) continue;
      const isTold = (this.#host.cgroupPath(u64(w, at + place)) ?? '/') !== '/';
      const path = isTold ? null : this.#host.processCgroup(pid);
      if (this.#told_processes.size >= MAX_REMEMBERED) this.#told_processes.clear();
      this.#told_processes.set(pid, {
        path: path ?? known?.path ?? null,
        until_ns: ktime_ns + PROCESS_HOLDS_NS,
      });
      if (path !== null && path !== (known?.path ?? '/'))
        facts = [...facts, { process_cgroup: { pid, path } }, ...this.#containers.of(path)];
    }
    return facts;
  }
}

/** The namespaces that have an address, in the order of their numbers; of many the first. */
function addressesOf(
  namespaces: ReadonlyMap<number, NamespacePlace>,
): Map<string, readonly number[]> {
  const found = new Map<string, number[]>();
  for (const [netns, { addresses }] of [...namespaces].sort(([a], [b]) => a - b)) {
    for (const addr of new Set(addresses)) {
      const having = found.get(addr);
      if (!having) found.set(addr, [netns]);
      else if (having.length < MOST_HAVING) having.push(netns);
    }
  }
  return found;
}
