// SPDX-License-Identifier: Apache-2.0

import { placeOf } from '../known/container.ts';
import { parseAddress } from '../tcp/address.ts';
import type { Event } from '../wire/event.ts';
import { ADDRESS_FIELDS } from '../wire/messages.ts';
import type { Header } from '../wire/types.gen.ts';
import { AddressMap } from './anonymize-address.ts';
import { Names } from './anonymize-names.ts';

type Rewrite = (text: string) => string;

/**
 * What looks like an address within a text, a port or the end of a sentence behind it; whether it is one,
 * parseAddress knows. Each part has a longest length: how often a text is gone over does not grow with it.
 */
const ADDRESSES =
  /(?<![\w:.])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:]{2,39}(?:\.\d{1,3}){0,3})(?!\w)/gi;
/** Device names that every host has, with their number: they tell nothing. */
const ORDINARY_DEVICE = /^(lo|(eth|bond|wlan|br|tun|tap|veth|ens|eno|enp)[\ds]*)$/;
/** Levels of cgroups that every host has. */
const ORDINARY_CGROUP =
  /^(|\.\.|container|payload|(system|user|machine|app)\.slice|init\.scope|docker|libpod_parent|(kubelet-)?kubepods(-besteffort|-burstable)?(\.slice)?|besteffort|burstable|lxc(\.payload)?)$/;
/** What tells whose container it is, and what kind of unit, and nothing else. */
const ORDINARY_PREFIX =
  /^(docker|cri-containerd|crio|libpod|nerdctl|(?:libpod|crio)-conmon)-(?=[0-9a-f]{64})/;
const UNIT_SUFFIX = /\.(service|scope|slice|socket|mount|swap)$/;
/** Before a name of a container. */
const NAMED_CONTAINER =
  /^(lxc\.payload\.|lxc\.monitor\.|machine-|systemd-nspawn@)(.+?)(\.scope|\.service|)$/;
/** Tables and chains that programs of the system make, and their users. */
const ORDINARY_RULES =
  /^(filter|nat|mangle|raw|security|broute|prerouting|input|forward|output|postrouting)$/i;
/** In a rule as nft writes it: devices, any other quoted text (a comment), chains that it goes to, and sets. */
const NAMES_IN_RULE =
  /(\b[io](?:if|br)(?:name)?(?: !=)? )(\{[^}]*\}|"[^"]*")|"([^"]*)"|\b(jump|goto) (\S+)|@([\w.-]+)/g;
const CONTAINER_ID = /[0-9a-f]{64}/;

/**
 * Takes out of headers and events who they are about: addresses, names of the host, of processes, devices and
 * cgroups, and those in firewall rules. What was equal stays equal, families and subnets too (AddressMap); ports, sequence numbers,
 * times and numbers of processes and namespaces stay. New names are given in the order of first sight,
 * so the same events give the same result, and nothing of the old name is in the new one.
 */
export class Anonymizer {
  readonly #addresses = new AddressMap();
  readonly #hosts = new Names('host');
  readonly #processes = new Names('process');
  readonly #devices = new Names('device');
  readonly #cgroups = new Names('cgroup');
  readonly #programs = new Names('program');
  readonly #pins = new Names('pin');
  readonly #tables = new Names('table');
  readonly #chains = new Names('chain');
  readonly #sets = new Names('set');
  readonly #texts = new Names('text');
  readonly #containers = new Names('');
  readonly #named_containers = new Names('container');
  readonly #pods = new Names('');
  readonly #pod_names = new Names('pod');
  readonly #pod_namespaces = new Names('namespace');
  readonly #namespaces = new Names('netns');
  readonly #macs = new Names('');
  readonly #rewrites: Record<string, Rewrite> = {
    comm: (name) => this.#processes.of(name),
    tracer: (name) => this.#processes.of(name),
    device: (name) => this.#device(name),
    table: (name) => ordinaryOr(this.#tables, name),
    chain: (name) => ordinaryOr(this.#chains, name),
    text: (rule) => this.text(this.#rule(rule)),
    line: (said) =>
      this.text(said.replace(/\bdev (\S+)/g, (_, name) => `dev ${this.#device(name)}`)),
    path: (path) => this.#cgroupPath(path),
    container_id: (id) => containerId(this.#containers.number(id)),
    container_name: (name) => this.#named_containers.of(name),
    pod_name: (name) => this.#pod_names.of(name),
    pod_namespace: (name) => this.#pod_namespaces.of(name),
    netns_name: (name) => this.#namespaces.of(name),
    cgroup_path: (path) => this.#cgroupPath(path),
    pins: (path) => this.#pins.of(path),
    program: (name) => this.#programs.of(name),
    mac: (digits) => this.#mac(digits),
    mac_was: (digits) => this.#mac(digits),
    mac_before: (digits) => this.#mac(digits),
    mac_to: (digits) => this.#mac(digits),
    mac_from: (digits) => this.#mac(digits),
    mac_here: (digits) => this.#mac(digits),
  };

  header(header: Header): Header {
    return {
      ...header,
      host: this.#hosts.of(header.host),
      filters: header.filters.map((filter) => this.text(filter)),
    };
  }

  /** A copy, as the causes may see it: they find the same in it. */
  event(event: Event): Event {
    return { ...event, body: this.#value('', event.body) } as Event;
  }

  address(address: string): string {
    return this.#addresses.of(address);
  }

  /** Addresses within a text. */
  text(text: string): string {
    return text.replace(ADDRESSES, (found) => {
      if (parseAddress(found)) return this.address(found);
      const before = found.slice(0, -1);
      return found.endsWith(':') && parseAddress(before) ? `${this.address(before)}:` : found;
    });
  }

  #value(field: string, value: unknown): unknown {
    if (typeof value === 'string') return this.#string(field, value);
    if (Array.isArray(value)) return value.map((item) => this.#value(field, item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [name, this.#value(name, inner)]),
    );
  }

  #string(field: string, text: string): string {
    if (text === '') return text;
    if (ADDRESS_FIELDS.has(field)) return this.address(text);
    return (this.#rewrites[field] ?? ((other) => this.text(other)))(text);
  }

  #device(name: string): string {
    return ORDINARY_DEVICE.test(name) ? name : this.#devices.of(name);
  }

  #rule(rule: string): string {
    const quoted = (text: string) =>
      text.replace(/"([^"]*)"/g, (_, name: string) => `"${this.#device(name)}"`);
    return rule.replace(NAMES_IN_RULE, (_, of, devices, text, jump, chain, set) => {
      if (of) return of + quoted(devices);
      if (jump) return `${jump} ${ordinaryOr(this.#chains, chain)}`;
      return set ? `@${this.#sets.of(set)}` : `"${this.#texts.of(text)}"`;
    });
  }

  /** One that is given out by nobody: `020000000001`. */
  #mac(digits: string): string {
    return `02${Number(this.#macs.of(digits)).toString(16).padStart(10, '0')}`;
  }

  /** Level by level, so that what lies below what still does; containers, pods and units stay such. */
  #cgroupPath(path: string): string {
    return path
      .split('/')
      .map((level) => this.#cgroupLevel(level))
      .join('/');
  }

  #cgroupLevel(level: string): string {
    if (ORDINARY_CGROUP.test(level)) return level;
    const place = placeOf(level);
    const pod = place.pod_uid === null ? null : podUid(this.#pods.number(place.pod_uid));
    const id = level.match(CONTAINER_ID)?.[0];
    if (id) {
      const container = containerId(this.#containers.number(id));
      if (pod !== null) return `pod${pod}.slice:cri-containerd:${container}`;
      return `${ORDINARY_PREFIX.exec(level)?.[0] ?? ''}${container}.scope`;
    }
    if (pod !== null) return `pod${pod}`;
    const [, before, name, after] = NAMED_CONTAINER.exec(level) ?? [];
    if (name !== undefined) return `${before}${this.#named_containers.of(name)}${after}`;
    return `${this.#cgroups.of(level)}${UNIT_SUFFIX.exec(level)?.[0] ?? ''}`;
  }
}

function ordinaryOr(names: Names, name: string): string {
  return ORDINARY_RULES.test(name) ? name : names.of(name);
}

/** 64 digits, of which the first twelve are what is shown. */
function containerId(number: number): string {
  return number.toString(16).padStart(12, '0').padEnd(64, '0');
}

/** Of no version of UUIDs, so nobody's. */
function podUid(number: number): string {
  return `00000000-0000-0000-0000-${number.toString(16).padStart(12, '0')}`;
}
