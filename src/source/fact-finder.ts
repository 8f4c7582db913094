// SPDX-License-Identifier: Apache-2.0

import type { Cgroups } from '../host/cgroup.ts';
import type { Symbols } from '../host/symbols.ts';
import { encodeEvent } from '../wire/decode.ts';
import { u64, type Words } from '../wire/words.ts';
import { AT, BODY, readCommon } from '../wire/written.gen.ts';
import type { Layout } from '../wire/written.ts';
import type { ContainerFacts } from './container-facts.ts';

const NOTHING: never[] = [];
const NAMELESS = { name: '', module: '' };

const PROGRAMS = [AT.PeerName.program, AT.PeerName.second_program, AT.PeerName.third_program];

/** Programs on a cgroup that may rewrite peers; throws where the cgroup is gone. */
export type ProgramsOf = (folder: string) => { id: number; name: string }[];

/** Finds what an event names and only this host can tell, each once, as events of their own. */
export class FactFinder {
  readonly #symbols: Symbols;
  readonly #cgroups: Cgroups;
  readonly #programsOf: ProgramsOf;
  readonly #containers: ContainerFacts;
  readonly #told = new Set<string>();
  /** Addresses and cgroups that were looked for. */
  readonly #code = new Set<string>();
  /** By address: as it was told last, empty where that was taken back; and those that this file has. */
  readonly #names = new Map<string, string>();
  readonly #named = new Set<string>();
  readonly #ids = new Set<string>();
  /** The cgroup that was looked for last. */
  #low = 0;
  #high = 0;

  constructor(
    symbols: Symbols,
    cgroups: Cgroups,
    programsOf: ProgramsOf,
    containers: ContainerFacts,
  ) {
    this.#symbols = symbols;
    this.#cgroups = cgroups;
    this.#programsOf = programsOf;
    this.#containers = containers;
  }

  /** To be called once the records of a tick were drained, if there were any, before they are asked about. */
  tick(): void {
    if (this.#symbols.tick()) this.#code.clear();
  }

  /** Facts that the record at `at` needs and that were not told yet, serialized. */
  of(w: Words, at: number, { kind, code, cgroups }: Layout): Uint8Array[] {
    let facts: { [field: string]: unknown }[] = NOTHING;
    for (let i = 0; i < code.length; i += 2) {
      const place = at + (code[i] as number);
      // A stack ends with its first zero.
      if (w[place] === 0 && w[place + 1] === 0) break;
      const address = u64(w, place);
      const fact = this.#code.has(address) ? null : this.#symbol(address);
      if (fact) facts = [...facts, fact];
    }
    for (let i = 0; i < cgroups.length; i += 2) {
      const place = at + (cgroups[i] as number);
      const low = w[place] as number;
      const high = w[place + 1] as number;
      // Nearly all are of one process, or of none.
      if (low === this.#low && high === this.#high) continue;
      if (low === 0 && high === 0) continue;
      const id = u64(w, place);
      if (!this.#ids.has(id)) facts = [...facts, ...this.#cgroup(id)];
      this.#low = low;
      this.#high = high;
    }
    if (kind === 'peer_name') facts = [...facts, ...this.#rewriters(w, at + BODY)];
    if (facts.length === 0) return NOTHING;
    const { ktime_ns } = readCommon(w, at);
    return facts.map((fact) => encodeEvent({ ktime_ns, fact }));
  }

  /** Everything is told again. */
  forget(): void {
    this.#told.clear();
    this.#code.clear();
    this.#named.clear();
    this.#ids.clear();
    this.#low = 0;
    this.#high = 0;
  }

  #symbol(address: string) {
    this.#code.add(address);
    const { name, module } = this.#symbols.at(address) ?? NAMELESS;
    const told = `${name} ${module}`.trim();
    const isNew = told !== '' && !this.#named.has(address);
    if (!isNew && told === (this.#names.get(address) ?? '')) return null;
    this.#names.set(address, told);
    this.#named.add(address);
    return { symbol: { address, name, module } };
  }

  #cgroup(id: string) {
    this.#ids.add(id);
    const path = this.#cgroups.path(id);
    return path === null ? NOTHING : [{ cgroup: { id, path } }, ...this.#containers.of(path)];
  }

  /** Where the programs are attached that were in effect for the socket's cgroup. */
  #rewriters(w: Words, at: number) {
    const cgroup = u64(w, at + AT.PeerName.cgroup);
    const ids = PROGRAMS.map((place) => w[at + place + AT.Program.id] as number);
    const unseen = ids.filter((id) => id !== 0 && this.#first(`program ${id} for ${cgroup}`));
    if (unseen.length === 0) return [];
    return this.#cgroups.upwards(cgroup).flatMap(({ folder, path }) => {
      try {
        return this.#programsOf(folder)
          .filter(({ id }) => unseen.includes(id))
          .filter(({ id }) => this.#first(`program ${id} on ${path}`))
          .map(({ id, name }) => ({
            peer_rewriter: { cgroup_path: path, program: name, program_id: id },
          }));
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
