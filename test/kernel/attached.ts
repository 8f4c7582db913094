// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

interface BpfObject {
  id: number;
  name?: string;
}

const listed = (kind: 'prog' | 'link'): BpfObject[] =>
  JSON.parse(execFileSync('bpftool', ['-j', kind, 'list'], { encoding: 'utf8' }));

/** Ids of the BPF objects that a process holds open. */
function held(pid: number, field: 'prog_id' | 'link_id'): Set<number> {
  const infos = readdirSync(`/proc/${pid}/fdinfo`).map((fd) => {
    try {
      return readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8');
    } catch {
      return ''; // Closed since it was listed.
    }
  });
  const ids = infos.map((info) => info.match(new RegExp(`^${field}:\\s*(\\d+)$`, 'm'))?.[1]);
  return new Set(ids.filter((id) => id !== undefined).map(Number));
}

/** The BPF programs and links that a process holds, by number, and the programs' names. */
export interface Attached {
  programs: ReadonlySet<number>;
  links: ReadonlySet<number>;
  names: (string | undefined)[];
}

export function attachedBy(pid: number): Attached {
  const programs = held(pid, 'prog_id');
  const links = held(pid, 'link_id');
  const names = listed('prog')
    .filter(({ id }) => programs.has(id))
    .map(({ name }) => name);
  return { programs, links, names };
}

/** Which of them the kernel still has. */
export function stillThere({ programs, links }: Attached): BpfObject[] {
  return [
    ...listed('prog').filter(({ id }) => programs.has(id)),
    ...listed('link').filter(({ id }) => links.has(id)),
  ];
}
