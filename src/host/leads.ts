// SPDX-License-Identifier: Apache-2.0

import { closeSync, openSync } from 'node:fs';
import { attribute, attributes, messages, number, request, text } from './netlink.ts';
import type { NamespacePlace } from './places.ts';
import { type Ask, wayTo } from './routes.ts';

/** A network device, and what it is connected with. */
interface Link {
  ifindex: number;
  kind: string;
  /** What it is a port of; 0: nothing. */
  master: number;
  /** The other end of a veth; 0: none. */
  peer: number;
  /** What its namespace calls the one of the other end; null: its own. */
  peer_nsid: number | null;
}

const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const RTM_NEWNSID = 88;
const RTM_GETNSID = 90;
const IFINFO = 16;
const [IFLA_LINK, IFLA_MASTER, IFLA_LINKINFO, IFLA_LINK_NETNSID] = [5, 10, 18, 37];
const IFLA_INFO_KIND = 1;
const RTGEN = 4;
const [NETNSA_NSID, NETNSA_FD] = [1, 3];

/** Containers are fewer away, whatever they are in. */
const MOST_HOPS = 8;

/** Which ways lead from namespace to namespace, over bridges and pairs of devices of this host. */
export class Ways {
  readonly #ask: (netns: string) => Ask;
  readonly #namespaces: ReadonlyMap<number, NamespacePlace>;
  readonly #links = new Map<number, Link[]>();

  constructor(ask: (netns: string) => Ask, namespaces: ReadonlyMap<number, NamespacePlace>) {
    this.#ask = ask;
    this.#namespaces = namespaces;
  }

  /** Whether what one namespace sends to an address comes to another one: then nobody else's is meant. */
  leads(from: number, addr: string, home: number): boolean {
    let at = from;
    for (let hop = 0; hop < MOST_HOPS; hop++) {
      const way = this.#wayTo(at, addr);
      if (way?.type !== 'unicast') return way?.type === 'local' && at === home;
      const next = way.gateway ?? addr;
      const having = this.#onSegment(at, way.ifindex).filter(
        (netns) => netns !== at && this.#namespaces.get(netns)?.addresses.includes(next),
      );
      const [one, other] = having;
      if (one === undefined || other !== undefined) return false;
      at = one;
    }
    return false;
  }

  #wayTo(netns: number, addr: string) {
    const here = this.#namespaces.get(netns);
    try {
      return here && wayTo(this.#ask(here.entry), addr);
    } catch {
      // Gone meanwhile.
      return undefined;
    }
  }

  /** The namespaces that have a device on the segment of this one. */
  #onSegment(netns: number, ifindex: number): number[] {
    const found = new Set<number>();
    const seen = new Set<string>();
    const open = [{ netns, ifindex }];
    for (let one = open.pop(); one; one = open.pop()) {
      const { netns, ifindex } = one;
      const name = `${netns} ${ifindex}`;
      const links = this.#linksOf(netns);
      const link = links.find((some) => some.ifindex === ifindex);
      if (!link || seen.has(name)) continue;
      seen.add(name);
      found.add(netns);
      const bridge = links.find(
        ({ ifindex, kind }) => ifindex === link.master && kind === 'bridge',
      );
      const ports = link.kind === 'bridge' ? links.filter(({ master }) => master === ifindex) : [];
      for (const { ifindex } of bridge ? [bridge] : ports) open.push({ netns, ifindex });
      const home = link.kind === 'veth' ? this.#home(netns, link) : null;
      if (home !== null) open.push({ netns: home, ifindex: link.peer });
    }
    return [...found];
  }

  /** The namespace of the other end of a veth; null: not known. */
  #home(netns: number, { ifindex, peer, peer_nsid }: Link): number | null {
    if (peer_nsid === null) return netns;
    const isPeer = (one: Link) => one.ifindex === peer && one.peer === ifindex;
    for (const other of this.#namespaces.keys())
      if (this.#linksOf(other).some(isPeer) && this.#nsid(netns, other) === peer_nsid) return other;
    return null;
  }

  #linksOf(netns: number): Link[] {
    const known = this.#links.get(netns);
    if (known) return known;
    const links = this.#linksIn(netns);
    this.#links.set(netns, links);
    return links;
  }

  #linksIn(netns: number): Link[] {
    return this.#messages(netns, request(RTM_GETLINK, Buffer.alloc(IFINFO)))
      .filter(({ type }) => type === RTM_NEWLINK)
      .map(({ body }) => {
        const told = attributes(body, IFINFO);
        const nsid = told.get(IFLA_LINK_NETNSID);
        return {
          ifindex: body.readInt32LE(4),
          kind: text(attributes(told.get(IFLA_LINKINFO)).get(IFLA_INFO_KIND)),
          master: number(told.get(IFLA_MASTER)),
          peer: number(told.get(IFLA_LINK)),
          peer_nsid: nsid ? nsid.readInt32LE(0) : null,
        };
      });
  }

  /** What one namespace calls another; null: it does not know it. */
  #nsid(netns: number, other: number): number | null {
    const entry = this.#namespaces.get(other)?.entry;
    if (entry === undefined) return null;
    try {
      const fd = openSync(entry, 'r');
      try {
        const value = Buffer.alloc(4);
        value.writeInt32LE(fd);
        const body = Buffer.concat([Buffer.alloc(RTGEN), attribute(NETNSA_FD, value)]);
        const [answer] = this.#messages(netns, request(RTM_GETNSID, body, false));
        if (answer?.type !== RTM_NEWNSID) return null;
        return attributes(answer.body, RTGEN).get(NETNSA_NSID)?.readInt32LE(0) ?? null;
      } finally {
        closeSync(fd);
      }
    } catch {
      // Gone meanwhile.
      return null;
    }
  }

  #messages(netns: number, asked: Buffer) {
    const here = this.#namespaces.get(netns);
    try {
      const [answer] = here ? this.#ask(here.entry)([asked]) : [];
      return answer ? messages(answer) : [];
    } catch {
      // Gone meanwhile.
      return [];
    }
  }
}
