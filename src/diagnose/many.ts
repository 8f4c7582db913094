// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../tcp/address.ts';
import { endpoint } from '../tcp/endpoint.ts';
import { servedAtSource } from '../tcp/service.ts';
import type { Flow } from '../wire/types.gen.ts';

/** More subjects than these of one cause at one host are told of as one. */
export const MANY = 50;
/** More are not told apart where they are counted. */
const MOST_COUNTED = 1000;
const PORTS = 65_536;

/** What a finding is about that tells of many subjects at once. */
export interface ManyText {
  /** How many ports, hosts and namespaces the service was at, and how many addresses used it: of those that were seen. */
  ports: number;
  hosts: number;
  netns: number;
  users: number;
  /** Not every occurrence became a record: there may be more of each. */
  at_least: boolean;
}

/** The subjects of one finding, in memory that does not grow. */
export class Many {
  readonly #ports = new Uint8Array(PORTS / 8);
  readonly #hosts = new Set<string>();
  readonly #users = new Set<string>();
  readonly #netns = new Set<number>();
  #count = 0;
  #at_least = false;

  add(flow: Flow, netns: number): void {
    const { host, port, user } = partsOf(flow);
    this.#addPorts(port >> 3, 1 << (port & 7));
    this.#addTo(this.#hosts, host);
    this.#addTo(this.#users, user);
    this.#addTo(this.#netns, netns);
  }

  /** Those of another one too. */
  takeIn(other: Many): void {
    for (const [at, bits] of other.#ports.entries()) this.#addPorts(at, bits);
    for (const host of other.#hosts) this.#addTo(this.#hosts, host);
    for (const user of other.#users) this.#addTo(this.#users, user);
    for (const netns of other.#netns) this.#addTo(this.#netns, netns);
    this.#at_least ||= other.#at_least;
  }

  #addPorts(at: number, bits: number): void {
    for (let fresh = bits & ~(this.#ports[at] ?? 0); fresh !== 0; fresh &= fresh - 1) this.#count++;
    this.#ports[at] = (this.#ports[at] ?? 0) | bits;
  }

  /** Others were only counted. */
  thereAreMore(): void {
    this.#at_least = true;
  }

  get text(): ManyText {
    return {
      ports: this.#count,
      hosts: this.#hosts.size,
      netns: this.#netns.size,
      users: this.#users.size,
      at_least: this.#at_least,
    };
  }

  /** `on 7812 ports of 10.0.0.5 from 10.9.9.9`. */
  get where(): string {
    const { ports, hosts, netns, users, at_least } = this.text;
    const [host = ''] = this.#hosts;
    const [user = ''] = this.#users;
    const some = (count: number) =>
      at_least || count >= MOST_COUNTED ? `at least ${count}` : `${count}`;
    const service = hosts === 1 ? bracketed(host) : `${some(hosts)} addresses`;
    const on =
      ports === 1 ? `port ${this.#port} of ${service}` : `${some(ports)} ports of ${service}`;
    const within = netns === 1 ? '' : ` in ${some(netns)} network namespaces`;
    return `on ${on}${within} from ${users === 1 ? bracketed(user) : `${some(users)} addresses`}`;
  }

  /** The service's end in a few words. */
  get subject(): string {
    const [host = ''] = this.#hosts;
    if (this.#hosts.size > 1) return 'many hosts';
    return this.#count > 1 ? bracketed(host) : endpoint(host, this.#port);
  }

  /** Of many ports of few hosts: somebody tries them one after the other. */
  get isScan(): boolean {
    return this.#count > MANY && this.#hosts.size * MANY <= this.#count;
  }

  get #port(): number {
    const at = this.#ports.findIndex((bits) => bits !== 0);
    return at < 0 ? 0 : 8 * at + (31 - Math.clz32(this.#ports[at] ?? 1));
  }

  #addTo<Value>(values: Set<Value>, value: Value): void {
    if (values.size < MOST_COUNTED) values.add(value);
    else if (!values.has(value)) this.#at_least = true;
  }
}

/** Which address the service has, at which port, and who uses it. */
export function partsOf(flow: Flow): { host: string; port: number; user: string } {
  const { saddr, sport, daddr, dport } = flow;
  return servedAtSource(flow)
    ? { host: saddr, port: sport, user: daddr }
    : { host: daddr, port: dport, user: saddr };
}
