// SPDX-License-Identifier: Apache-2.0

import type { Queue, Unaccepted } from '../host/unaccepted.ts';
import { addressBytes } from '../tcp/address.ts';
import { encodeEvent } from '../wire/decode.ts';
import type { Process, ProcessState } from '../wire/types.gen.ts';
import { type Filter, matcher } from './filter.ts';

/** What this host is asked, of the namespace at a path. Each may throw where that is gone. */
export interface QueueHost {
  /** Paths of namespaces by their inode numbers. */
  namespaces(netns: number | null): Iterable<readonly [netns: number, path: string]>;
  queues(path: string): Queue[];
  unaccepted(path: string, port: number): Unaccepted[];
  holders(inodes: readonly number[], most: number): Process[];
  process(pid: number): ProcessState | null;
  cpu_ms(): number;
}

const LOOKS_EVERY_NS = 2.5e9;
/** Nobody who accepts at all lets one wait so long; it is told again when it has waited twice as long. */
const LONG_NS = 5e9;
/** After a look there is none for so many times as long; but where somebody waits is looked at before all are again. */
const RESTS = 200;
/** Of one listener, and at one look. */
const MOST_HOLDERS = 8;
const MOST_PORTS = 32;
const MOST_TOLD = 1000;

type Waiting = Map<string, { since_ns: number; told_after_ns: number }>;

/** Connections that the kernel has taken, and a process does not: nothing is refused yet, and no hook tells. */
export class UnacceptedConnections {
  readonly #host: QueueHost;
  readonly #netns: number | null;
  readonly #isWanted: ReturnType<typeof matcher>;
  #next_ns = Number.NEGATIVE_INFINITY;
  #next_all_ns = Number.NEGATIVE_INFINITY;
  /** Those that the last look found, by namespace and socket. */
  #waiting: Waiting = new Map();
  /** Where they are. */
  #places: (readonly [netns: number, path: string])[] = [];

  constructor(host: QueueHost, filter: Filter) {
    this.#host = host;
    this.#netns = filter.netns;
    this.#isWanted = matcher(filter);
  }

  /** Events, serialized, of those that have waited for long; nothing where it is not time to look yet. */
  look(ktime_ns: number): Uint8Array[] {
    const all = ktime_ns >= this.#next_all_ns;
    if (ktime_ns < this.#next_ns || (!all && this.#places.length === 0)) return [];
    const began_ms = this.#host.cpu_ms();
    const before = this.#waiting;
    const places = all ? this.#host.namespaces(this.#netns) : this.#places;
    this.#waiting = new Map();
    this.#places = [];
    const told: Uint8Array[] = [];
    for (const [netns, path] of places) {
      const found = this.#waiting.size;
      try {
        for (const queue of this.#host.queues(path).slice(0, MOST_PORTS))
          told.push(...this.#of(queue, netns, path, ktime_ns, before));
      } catch {
        // It went away meanwhile, or this kernel cannot be asked (CONFIG_INET_DIAG).
      }
      if (this.#waiting.size > found) this.#places.push([netns, path]);
    }
    const rests_ns = RESTS * (this.#host.cpu_ms() - began_ms) * 1e6;
    if (all) this.#next_all_ns = ktime_ns + rests_ns;
    this.#next_ns = ktime_ns + (all ? LOOKS_EVERY_NS : Math.max(LOOKS_EVERY_NS, rests_ns));
    return told;
  }

  #of(queue: Queue, netns: number, path: string, ktime_ns: number, before: Waiting): Uint8Array[] {
    // Who is refused then tells of it.
    if (queue.is_full) return [];
    const found = this.#host
      .unaccepted(path, queue.port)
      .filter(({ flow }) => this.#isWanted(netns, flow));
    const late = found.flatMap((one) => {
      const key = `${netns} ${one.id}`;
      const known = before.get(key) ?? { since_ns: ktime_ns, told_after_ns: LONG_NS };
      this.#waiting.set(key, known);
      return ktime_ns - known.since_ns >= known.told_after_ns ? [{ ...one, known }] : [];
    });
    const tells = late.slice(0, MOST_TOLD);
    if (tells.length === 0) return [];
    const holders = this.#host.holders(queue.inodes, MOST_HOLDERS);
    const processes = holders.flatMap(({ pid }) => this.#host.process(pid) ?? []);
    return [
      ...processes.map((process) => encodeEvent({ ktime_ns, fact: { process } })),
      ...tells.map(({ known, flow, unread_bytes, given_up, mptcp }) => {
        known.told_after_ns = 2 * (ktime_ns - known.since_ns);
        const ends = { saddr: addressBytes(flow.saddr), daddr: addressBytes(flow.daddr) };
        const waited_ms = Math.round((ktime_ns - known.since_ns) / 1e6);
        const { usage, limit } = queue;
        const unaccepted = {
          ...{ flow: { ...flow, ...ends }, waited_ms, unread_bytes },
          ...{ queue: usage, queue_max: limit, holders },
          given_up: Number(given_up),
          mptcp: Number(mptcp),
        };
        return encodeEvent({ ktime_ns, netns, key: '0', occurrences: 1, unaccepted });
      }),
    ];
  }
}
