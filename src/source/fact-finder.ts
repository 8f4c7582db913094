// SPDX-License-Identifier: Apache-2.0

import type { Cgroups } from '../host/cgroup.ts';
import type { Symbols } from '../host/symbols.ts';
import { type Event, encodeEvent } from '../wire/decode.ts';

/** Fields whose value is an address in the kernel. */
const ADDRESSES = new Set(['location', 'getname', 'stack']);

/** Finds what an event names and only this host can tell, each once, as events of their own. */
export class FactFinder {
  readonly #symbols: Symbols;
  readonly #cgroups: Cgroups;
  readonly #told = new Set<string>();

  constructor(symbols: Symbols, cgroups: Cgroups) {
    this.#symbols = symbols;
    this.#cgroups = cgroups;
  }

  /** Facts that the event needs and that were not told yet, serialized. */
  of({ body, ktime_ns }: Event): Uint8Array[] {
    const facts: Uint8Array[] = [];
    const visit = (field: string, value: unknown): void => {
      if (Array.isArray(value)) for (const item of value) visit(field, item);
      else if (value && typeof value === 'object') for (const [name, inner] of Object.entries(value)) visit(name, inner);
      else if (typeof value === 'string' && value !== '0') {
        const fact = ADDRESSES.has(field) ? this.#symbol(value) : field === 'cgroup' ? this.#cgroup(value) : null;
        if (fact) facts.push(encodeEvent({ ktime_ns, fact }));
      }
    };
    visit('', body);
    return facts;
  }

  #symbol(address: string) {
    if (!this.#first(`symbol ${address}`)) return null;
    const symbol = this.#symbols.at(address);
    return symbol && { symbol: { address: address, ...symbol } };
  }

  #cgroup(id: string) {
    if (!this.#first(`cgroup ${id}`)) return null;
    const path = this.#cgroups.path(id);
    return path === null ? null : { cgroup: { id: id, path } };
  }

  #first(what: string): boolean {
    if (this.#told.has(what)) return false;
    this.#told.add(what);
    return true;
  }
}
