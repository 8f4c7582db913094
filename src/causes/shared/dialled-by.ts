// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import type { Event } from '../../wire/event.ts';
import type { Hooked, Owner } from '../../wire/types.gen.ts';

/** Programs that see each connect() of a process, and may put another address in its place: evidence. */
export type DialledBy = {
  may_stand_for_another?: string[];
  connect_program_ids?: number[];
};

/** Nothing where none is known. */
export function dialledBy(event: Event, owner: Owner, known: Knowledge): DialledBy {
  const path = known.cgroupPath(owner.cgroup);
  const hooked = (known.asked(event)?.hooked ?? []).filter(
    // What was asked is of the first of this key, which may have been another process.
    ({ cgroup_path }) => path !== null && isWithin(path, cgroup_path),
  );
  if (hooked.length === 0) return {};
  return {
    may_stand_for_another: hooked.map(programText),
    connect_program_ids: hooked.map(({ program_id }) => program_id),
  };
}

const isWithin = (path: string, cgroup: string) =>
  cgroup === '/' || path === cgroup || path.startsWith(`${cgroup}/`);

const programText = ({ program, program_id, hook, cgroup_path }: Hooked) =>
  programAt(program, program_id, `${hook} of ${cgroup_path}`);

/** `program lab_policy (id 5) at cgroup connect4 of /lab`. */
export function programAt(program: string, id: number, where: string): string {
  return `program ${program === '' ? 'without a name' : program} (id ${id}) at ${where}`;
}

/** At the end of a summary. */
export function dialledByText({ may_stand_for_another: programs }: DialledBy): string {
  return programs === undefined
    ? ''
    : `; ${programs.join(' or ')} may have put that address in place of what was dialled`;
}

export function dialledByAdvice(
  dialled: string,
  { may_stand_for_another: programs, connect_program_ids: ids = [] }: DialledBy,
): string[] {
  if (programs === undefined) return [];
  const shown = ids.map((id) => `\`bpftool prog show id ${id}\``).join(' ');
  return [
    `did the program dial ${dialled}? Its own log says so. What sees each connect() of its cgroup may put another address in its place before there is a packet, as socket load balancers do: ${shown} On Cilium, which services lead there: \`cilium-dbg bpf lb list\` Is that backend still one?`,
  ];
}
