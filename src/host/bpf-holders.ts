// SPDX-License-Identifier: Apache-2.0

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Process } from '../wire/types.gen.ts';

const MAX_HOLDERS = 8;
/** Files of BPF file systems that are looked at. */
const MAX_PINS = 4096;
const MAX_REMEMBERED = 1024;

export interface Holders {
  processes: Process[];
  /** Paths of files. */
  pins: string[];
  /** CLOCK_MONOTONIC when the program was loaded; 0: not known. */
  loaded_ktime_ns: string;
}

/** Who keeps BPF programs: each is looked for once, among all files that are open on the host. */
export class BpfHolders {
  readonly #pinned: (path: string) => number | null;
  readonly #loaded_ktime_ns: (id: number) => number;
  readonly #known = new Map<number, Holders>();

  /** `pinned` tells which program a file pins. */
  constructor(pinned: (path: string) => number | null, loaded_ktime_ns: (id: number) => number) {
    this.#pinned = pinned;
    this.#loaded_ktime_ns = loaded_ktime_ns;
  }

  of(ids: readonly number[]): ReadonlyMap<number, Holders> {
    const unknown = new Set(ids.filter((id) => !this.#known.has(id)));
    if (unknown.size > 0) {
      if (this.#known.size > MAX_REMEMBERED) this.#known.clear();
      for (const id of unknown)
        this.#known.set(id, {
          processes: [],
          pins: [],
          loaded_ktime_ns: String(this.#loaded_ktime_ns(id)),
        });
      for (const [id, process] of byProcesses(unknown)) {
        const { processes = [] } = this.#known.get(id) ?? {};
        const known = processes.some(({ pid }) => pid === process.pid);
        if (!known && processes.length < MAX_HOLDERS) processes.push(process);
      }
      for (const [id, path] of this.#byPins(unknown)) {
        const { pins = [] } = this.#known.get(id) ?? {};
        if (pins.length < MAX_HOLDERS) pins.push(path);
      }
    }
    return this.#known;
  }

  *#byPins(ids: ReadonlySet<number>): Iterable<[number, string]> {
    let left = MAX_PINS;
    for (const mount of bpfMounts()) {
      const folders = [mount];
      for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
        for (const entry of entriesOf(folder)) {
          const path = join(folder, entry.name);
          if (entry.isDirectory()) folders.push(path);
          else if (entry.isFile() && left-- > 0) {
            const id = this.#pinned(path);
            if (id !== null && ids.has(id)) yield [id, path];
          }
        }
      }
    }
  }
}

function* byProcesses(ids: ReadonlySet<number>): Iterable<[number, Process]> {
  for (const pid of entriesOf('/proc').map(({ name }) => name)) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    for (const { name: fd } of entriesOf(`/proc/${pid}/fd`)) {
      try {
        if (!/^anon_inode:\[?bpf/.test(readlinkSync(`/proc/${pid}/fd/${fd}`))) continue;
        const info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8');
        const id = Number(info.match(/^prog_id:\s*(\d+)/m)?.[1]);
        if (!ids.has(id)) continue;
        const comm = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
        yield [id, { pid: Number(pid), comm }];
      } catch {
        // Closed, or gone meanwhile.
      }
    }
  }
}

function bpfMounts(): string[] {
  try {
    const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
    return mounts.flatMap((line) => {
      const [, folder, type] = line.split(' ');
      return type === 'bpf' && folder ? [folder] : [];
    });
  } catch {
    return [];
  }
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}
