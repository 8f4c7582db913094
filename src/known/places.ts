// SPDX-License-Identifier: Apache-2.0

import { isLoopback } from '../tcp/address.ts';
import { listensFor } from '../tcp/endpoint.ts';
import { reversed } from '../tcp/service.ts';
import { TCP_STATE } from '../tcp/states.ts';
import type { Event } from '../wire/event.ts';
import type { Container, Flow, Namespace, Owner, Process, Sock } from '../wire/types.gen.ts';
import { sourceToDestination } from './connection-id.ts';
import { type ContainerNames, isSomewhere, NOWHERE, type Place, placeOf } from './container.ts';
import { ExpiringMap } from './expiring-map.ts';
import { Newest } from './newest.ts';
import { ToldAt } from './told-at.ts';

/** Who is at an end of a connection that is on this host, as far as it is known. */
export interface Resident {
  addr: string;
  port: number;
  netns: number;
  /** As `ip netns` has it, null where it has no name there. */
  netns_name: string | null;
  owner: Pick<Owner, 'pid' | 'comm'> | null;
  place: Place & ContainerNames;
}

/** What is known of listeners. */
interface Listeners {
  listenersOnPort(port: number): { netns: number; sock: Sock }[];
  holders(listener: string): readonly Process[];
}

/** Both ends of a failure tell of it within that time, or do so again. */
const SPAN_NS = 2e9;
const MOST = 4096;

/** Where the processes and the namespaces of this host are: in which container, pod and unit. */
export class Places {
  readonly #cgroups = new Newest<string, { path: string; place: Place }>(MOST);
  readonly #containers = new Newest<string, ContainerNames>(MOST);
  readonly #processes = new ToldAt<number, Place>(MOST);
  readonly #namespaces = new ToldAt<number, { netns_name: string; place: Place }>(MOST);
  readonly #addresses = new ToldAt<string, readonly number[]>(MOST);
  /** By the ends of a socket, its own first: 0 where several namespaces have the same. */
  readonly #sockets = new ExpiringMap<{ netns: number; owner: Owner }>(SPAN_NS, MOST);

  learn(event: Event): void {
    if (event.kind !== 'fact') {
      for (const sock of socketsOf(event)) this.#own(event, sock);
      return;
    }
    const { cgroup, process_cgroup, namespace, host_address, container } = event.body;
    if (cgroup) this.#cgroups.set(cgroup.id, { path: cgroup.path, place: placeOf(cgroup.path) });
    if (container) this.#containers.set(container.container_id, namesOf(container));
    const { ktime_ns } = event;
    if (process_cgroup)
      this.#processes.set(process_cgroup.pid, placeOf(process_cgroup.path), ktime_ns);
    if (namespace) this.#name(namespace, ktime_ns);
    if (host_address) this.#addresses.set(host_address.addr, host_address.netns, ktime_ns);
  }

  #name({ netns, netns_name, path }: Namespace, ktime_ns: number): void {
    const place = { ...placeOf(path), unit: null };
    this.#namespaces.set(netns, { netns_name, place }, ktime_ns);
  }

  #own({ netns, ktime_ns }: Event, { state, flow, owner }: Sock): void {
    if (state === TCP_STATE.LISTEN) return;
    const key = sourceToDestination(flow);
    const known = this.#sockets.get(key, ktime_ns);
    const isOne = known === undefined || known.netns === netns;
    // What is left of a socket has no owner.
    const last = isOne && owner.pid === 0 ? (known?.owner ?? owner) : owner;
    this.#sockets.set(key, { netns: isOne ? netns : 0, owner: last }, ktime_ns);
  }

  cgroupPath(cgroup: string): string | null {
    return this.#cgroups.get(cgroup)?.path ?? null;
  }

  /** Of the cgroup, and where that says nothing, of the process. */
  of({ cgroup, pid }: Pick<Owner, 'cgroup' | 'pid'>, ktime_ns: number): Place {
    const place = this.#cgroups.get(cgroup)?.place ?? NOWHERE;
    return isSomewhere(place) ? place : (this.#processes.at(pid, ktime_ns) ?? place);
  }

  #named(place: Place): Resident['place'] {
    const names = this.#containers.get(place.container_id ?? '');
    return names ? { ...place, ...names } : place;
  }

  /** The namespace that an address of a connection in `netns` is of; 0: none of this host, or not known. */
  #home(addr: string, { netns, ktime_ns }: Event): number {
    if (isLoopback(addr)) return netns;
    const having = this.#addresses.at(addr, ktime_ns) ?? [];
    if (having.includes(netns)) return netns;
    return having.length === 1 ? (having[0] ?? 0) : 0;
  }

  /** Those ends of a flow that are on this host, `netns` being where it was seen. */
  residents(flow: Flow, event: Event, listeners: Listeners): Resident[] {
    const { ktime_ns } = event;
    const at = (socket: Flow): Resident[] => {
      const { saddr: addr, sport: port } = socket;
      const seen = this.#sockets.get(sourceToDestination(socket), ktime_ns);
      const home = seen?.netns || this.#home(addr, event);
      if (home === 0) return [];
      // Of sockets in several namespaces nobody knows which of them this is.
      const owner =
        seen && seen.netns > 0 && seen.owner.pid > 0
          ? seen.owner
          : listenerOf(listeners, home, addr, port);
      const { netns_name, place } = this.#namespaces.at(home, ktime_ns) ?? {
        netns_name: '',
        place: NOWHERE,
      };
      const own = owner ? this.of(owner, ktime_ns) : NOWHERE;
      return [
        {
          ...{ addr, port, netns: home, owner },
          netns_name: netns_name === '' ? null : netns_name,
          place: this.#named(isSomewhere(own) ? own : place),
        },
      ];
    };
    return [...at(flow), ...at(reversed(flow))];
  }
}

function namesOf({ container_id: _, ...names }: Container): ContainerNames {
  return Object.fromEntries(Object.entries(names).filter(([, name]) => name !== ''));
}

/** The process that listens there; null where there is none, or are several. */
function listenerOf(known: Listeners, home: number, addr: string, port: number): Owner | null {
  const [one, other] = known
    .listenersOnPort(port)
    .filter(({ netns, sock }) => netns === home && listensFor(sock, addr));
  if (!one || other || one.sock.owner.pid === 0) return null;
  const holders = known.holders(one.sock.id);
  const { owner } = one.sock;
  // Who called listen() may have ended, and have left it to a process that it had started.
  const heir = holders.some(({ pid }) => pid === owner.pid) ? undefined : holders[0];
  return { ...owner, ...heir };
}

function socketsOf({ body }: Event): Sock[] {
  const { sock, dialled } = body as { sock?: Sock | null; dialled?: unknown };
  return [sock, dialled].filter(isSock);
}

function isSock(value: unknown): value is Sock {
  return typeof value === 'object' && value !== null && 'owner' in value && 'flow' in value;
}
