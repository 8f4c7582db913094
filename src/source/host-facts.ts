// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { isWithoutEntry } from '../causes/shared/neighbours.ts';
import {
  type AskedHost,
  addressAskedOf,
  answerAskedOf,
  askedOf,
  dialledByOf,
  passingAskedOf,
  portsAskedOf,
  routeAskedOf,
  wayBackAskedOf,
} from '../host/asked.ts';
import { BpfHolders } from '../host/bpf-holders.ts';
import { Cgroups } from '../host/cgroup.ts';
import { containerNames } from '../host/container-names.ts';
import { type DeviceHost, deviceHooks, NOTHING_HOOKED } from '../host/device-hooks.ts';
import { cpu_ms, monotonic_ns } from '../host/kernel.ts';
import { Ways } from '../host/leads.ts';
import { messages } from '../host/netlink.ts';
import { netnsPath } from '../host/netns.ts';
import { natEnds } from '../host/nftables/nat.ts';
import { type Ask, NETFILTER, Nftables } from '../host/nftables/ruleset.ts';
import { namespacePlaces, processCgroup } from '../host/places.ts';
import { hasFirstPids, processState } from '../host/process.ts';
import { SOCK_DIAG } from '../host/sock-diag.ts';
import { socketHooks } from '../host/socket-hooks.ts';
import { Symbols } from '../host/symbols.ts';
import { ENTRIES, usersOf } from '../host/tracked-users.ts';
import { LIMITS, limitsOf } from '../host/tracking-limits.ts';
import { HostKnowledge } from '../known/host-knowledge.ts';
import { isSince } from '../known/kernel.ts';
import {
  cgroupPrograms,
  deviceName,
  devicePrograms,
  getpeernamePrograms,
  ipTable,
  lookupPrograms,
  netlink,
  netlinkStrict,
  netnsCpu_ms,
  netnsFiles,
  pinnedProgram,
  programLoaded_ns,
  programName,
  programsOfTypes,
  securityModules,
} from '../native/binding.ts';
import type { Header } from '../wire/types.gen.ts';
import type { Words } from '../wire/words.ts';
import type { Layout } from '../wire/written.ts';
import { CallFacts } from './call-facts.ts';
import { ContainerFacts } from './container-facts.ts';
import { DropFacts, type DropHost } from './drop-facts.ts';
import { FactFinder } from './fact-finder.ts';
import { LimitFacts } from './limit-facts.ts';
import { ListenerFacts } from './listener-facts.ts';
import { PlaceFacts } from './place-facts.ts';
import { ProcessFacts } from './process-facts.ts';
import { RuleFacts, type RuleHost } from './rule-facts.ts';
import { TrackingFacts, type TrackingHost } from './tracking-facts.ts';

/** Finds what only this host can tell, when a record needs it. */
interface Finder {
  /** Facts that the record at `at` needs and that were not told lately, serialized. */
  of(w: Words, at: number, layout: Layout): Uint8Array[];
  /** Everything is told again. */
  forget(): void;
}

/** What only this host can tell of the records: names, owners, programs, rules. */
export class HostFacts implements Finder {
  readonly #names: FactFinder;
  readonly #finders: readonly Finder[];
  readonly #containers = new ContainerFacts(containerNames);

  /** `existingOwners` goes through every open file. */
  constructor(header: Header, existingOwners: () => Uint8Array) {
    const symbols = new Symbols();
    const cgroups = new Cgroups();
    const holders = new BpfHolders(pinnedProgram, programLoaded_ns);
    const sockets: AskedHost = {
      cgroups: (cgroup) => cgroups.upwards(cgroup),
      cgroupPrograms,
      programsOfTypes,
      programName,
      holders: (ids) => holders.of(ids),
      netlinkStrict,
      netlinkSockets: (requests, netns) => netlink(SOCK_DIAG, requests, netns),
      securityModules,
      files: netnsFiles,
    };
    const routing = (path: string) => (requests: Buffer[]) => netlinkStrict(requests, path);
    const known = new HostKnowledge(header);
    const hasPids = hasFirstPids();
    const rules = ruleHost(header, symbols);
    const listeners = new ListenerFacts({ deviceName: nameOfDevice, holders: existingOwners });
    this.#names = new FactFinder(symbols, cgroups, getpeernamePrograms, this.#containers);
    this.#finders = [
      this.#names,
      listeners,
      new DropFacts(dropHost(header, symbols, sockets), asking_ms),
      new LimitFacts({
        isOrphanLimit: (reason) => known.resetReason(reason) === 'TCP_ABORT_ON_MEMORY',
        isNeighbourLimit: (reason, location) =>
          isWithoutEntry(known.dropReason(reason), symbols.at(location)?.name, known),
        read: (path) => readFileSync(path, 'utf8'),
      }),
      new RuleFacts(rules, asking_ms),
      new ProcessFacts(processState, (listener) => listeners.holdersOf(listener)),
      new CallFacts(
        {
          failed: (netns, failed) => inside(netns, (path) => askedOf(sockets, failed, path)),
          sent: (netns, drop) => inside(netns, (path) => routeAskedOf(sockets, drop, path)),
          dialledBy: (sock) => dialledByOf(sockets, sock),
          passing: (netns, drop) => inside(netns, (path) => passingAskedOf(sockets, drop, path)),
          answer: (netns, syn) => inside(netns, (path) => answerAskedOf(sockets, syn, path)),
          ports: (netns) => inside(netns, (path) => portsAskedOf(sockets, path)),
          back: (netns, drop) => inside(netns, (path) => wayBackAskedOf(sockets, drop, path)),
          address: (netns, one, ifindex) =>
            inside(netns, (path) => addressAskedOf(sockets, one, path, ifindex)),
          hasNoSocket: (reason) => known.dropReason(reason) === 'NO_SOCKET',
          isNotOurs: (reason) => known.dropReason(reason) === 'IP_INADDRERRORS',
          isByPathFilter: (reason) => known.dropReason(reason) === 'IP_RPFILTER',
          isByNetfilter: rules.isByNetfilter,
        },
        asking_ms,
      ),
      new TrackingFacts(TRACKING, asking_ms),
      new PlaceFacts(
        {
          namespaces: () => namespacePlaces(routing),
          waysOf(namespaces) {
            const ways = new Ways(routing, namespaces);
            return (from, addr, home) => ways.leads(from, addr, home);
          },
          processCgroup: (pid) => (hasPids ? processCgroup(pid) : null),
          cgroupPath: (id) => cgroups.known(id),
          cpu_ms: asking_ms,
        },
        this.#containers,
      ),
    ];
  }

  /** What was asked for may have changed since. */
  tick(): void {
    this.#names.tick();
  }

  of(w: Words, at: number, layout: Layout): Uint8Array[] {
    let facts: Uint8Array[] = [];
    for (const finder of this.#finders) {
      const found = finder.of(w, at, layout);
      if (found.length > 0) facts = facts.length > 0 ? [...facts, ...found] : found;
    }
    return facts;
  }

  forget(): void {
    for (const finder of this.#finders) finder.forget();
    this.#containers.forget();
  }
}

/** What was run to ask the host: by this thread, and by those that entered other namespaces for it. */
function asking_ms(): number {
  return cpu_ms() + netnsCpu_ms();
}

/** What is found in a namespace; null where it is gone. */
function inside<Found>(netns: number, find: (path: string) => Found): Found | null {
  try {
    const path = netnsPath(netns);
    return path === undefined ? null : find(path);
  } catch {
    return null;
  }
}

/** Null where the device or its namespace is gone. */
function nameOfDevice(netns: number, ifindex: number): string | null {
  return inside(netns, (path) => deviceName(ifindex, path));
}

function dropHost(header: Header, symbols: Symbols, sockets: AskedHost): DropHost {
  const known = new HostKnowledge(header);
  const host: DeviceHost = {
    netlink: (requests, netns) => netlink(0, requests, netns),
    programs: devicePrograms,
    programName,
    holders: sockets.holders,
  };
  return {
    dropReason: (reason) => known.dropReason(reason),
    hasDropReasons: known.hasDropReasons(),
    symbol: (address) => symbols.at(address)?.name,
    socketHooks: (by, cgroup, id) => socketHooks(sockets, by, cgroup, id),
    deviceHooks: (inode, device) => inside(inode, (path) => deviceHooks(host, inode, device, path)),
    lookupHooks: (netns) =>
      inside(netns, (path) => {
        const programs = lookupPrograms(path);
        const held = sockets.holders(programs.map(({ id }) => id));
        return {
          netns,
          hooked: programs.map(({ hook, id, name }) => ({
            ...{ ...NOTHING_HOOKED, hook, program_id: id, program: name },
            ...held.get(id),
          })),
        };
      }),
  };
}

/** Netlink of a namespace's netfilter; null where it is gone. */
function askNetfilter(netns: number): Ask | null {
  const path = netnsPath(netns);
  return path === undefined ? null : (requests) => netlink(NETFILTER, requests, path);
}

/** Of rules that iptables wrote before there was nftables, which nobody else tells of. */
function legacyTables(netns: number, family: 4 | 6): string[] {
  const file = family === 4 ? 'ip_tables_names' : 'ip6_tables_names';
  const [names] = inside(netns, (path) => netnsFiles([`thread-self/net/${file}`], path)) ?? [];
  return names?.split('\n').filter((name) => name !== '') ?? [];
}

function ruleHost(header: Header, symbols: Symbols): RuleHost {
  const known = new HostKnowledge(header);
  const hasReasons = known.hasDropReasons();
  const nameOf = (address: string) => symbols.at(address)?.name;
  return {
    isByNetfilter: (reason, location) =>
      hasReasons
        ? known.dropReason(reason) === 'NETFILTER_DROP'
        : nameOf(location) === 'nf_hook_slow',
    symbol: nameOf,
    frees: isSince(header.kernel, 6, 8),
    ask: askNetfilter,
    deviceName: nameOfDevice,
    legacyTables,
    legacyTable: (netns, family, name) =>
      inside(netns, (path) => ipTable(name, family === 6, path)),
    now_ns: monotonic_ns,
  };
}

export function natRulesOf(netns: number): ReturnType<TrackingHost['natRules']> {
  const isLegacy = ([4, 6] as const).some((family) => legacyTables(netns, family).includes('nat'));
  const ask = isLegacy ? null : askNetfilter(netns);
  if (!ask) return null;
  let rules: Nftables | null = null;
  return (hook, flow) => {
    try {
      if (!rules?.isSame()) rules = new Nftables(ask, monotonic_ns, rules);
      const ends = natEnds(rules, hook, flow);
      return rules.wasRead() && !rules.isSame() ? [] : ends;
    } catch {
      // Too many, gone, or changed while they were read: then it is not known.
      return [];
    }
  };
}

const TRACKING: TrackingHost = {
  natRules: natRulesOf,
  limits: (netns) => inside(netns, (path) => limitsOf(netns, netnsFiles(LIMITS, path))),
  tableUsers: (netns) =>
    inside(netns, (path) => {
      const answer = netlink(NETFILTER, [ENTRIES], path).flatMap(messages);
      return answer.length === 0 ? null : usersOf(netns, answer);
    }),
};
