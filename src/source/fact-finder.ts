// SPDX-License-Identifier: Apache-2.0

import type { Cgroups } from '../host/cgroup.ts';
import type { Symbols } from '../host/symbols.ts';
import { type Event, encodeEvent } from '../wire/decode.ts';

/** Fields whose value is an address in the kernel. */
const ADDRESSES = new Set(['location', 'getname', 'stack']);

/** Programs on a cgroup that may rewrite peers; throws where the cgroup is gone. */
export type ProgramsOf = (folder: string) => { id: number; name: string }[];

/** Finds what an event names and only this host can tell, each once, as events of their own. */
export class FactFinder {
  readonly #symbols: Symbols;
  readonly #cgroups: Cgroups;
  readonly #programsOf: ProgramsOf;
  readonly #told = new Set<string>();

  constructor(symbols: Symbols, cgroups: Cgroups, programsOf: ProgramsOf) {
    this.#symbols = symbols;
    this.#cgroups = cgroups;
    this.#programsOf = programsOf;
  }

  /** Facts that the event needs and that were not told yet, serialized. */
  of(event: Event): Uint8Array[] {
    const { body, ktime_ns } = event;
    const facts: Uint8Array[] = [];
    if (event.kind === 'peer_name' && this.#first(`rewriters of ${event.body.sock.owner.cgroup}`)) {
      facts.push(
        ...this.#rewriters().map((peer_rewriter) =>
          encodeEvent({ ktime_ns, fact: { peer_rewriter } }),
        ),
      );
    }
    const visit = (field: string, value: unknown): void => {
      if (Array.isArray(value)) for (const item of value) visit(field, item);
      else if (value && typeof value === 'object')
        for (const [name, inner] of Object.entries(value)) visit(name, inner);
      else if (typeof value === 'string' && value !== '0') {
        const fact = ADDRESSES.has(field)
          ? this.#symbol(value)
          : field === 'cgroup'
            ? this.#cgroup(value)
            : null;
        if (fact) facts.push(encodeEvent({ ktime_ns, fact }));
      }
    };
    visit('', body);
    return facts;
  }

  /** Everything is told again. */
  forget(): void {
    this.#told.clear();
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

  /** Asked when the first rewrite in a cgroup is seen: the program is attached by then. */
  #rewriters() {
    return this.#cgroups.all().flatMap(({ folder, path }) => {
      try {
        return this.#programsOf(folder)
          .filter(({ id }) => this.#first(`program ${id} on ${path}`))
          .map(({ id, name }) => ({ cgroup_path: path, program: name, program_id: id }));
      } catch {
        return [];
      }
    });
  }

  #first(what: string): boolean {
    if (this.#told.has(what)) return false;
    this.#told.add(what);
    return true;
  }
}
