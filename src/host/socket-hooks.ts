// SPDX-License-Identifier: Apache-2.0

import type { Dropper } from '../causes/shared/droppers.ts';
import type { Hooked, SocketHooks } from '../wire/types.gen.ts';
import { type DeviceHost, NOTHING_HOOKED } from './device-hooks.ts';

interface Program {
  id: number;
  name: string;
}

export interface SocketHost extends Pick<DeviceHost, 'programName' | 'holders'> {
  /** A cgroup and what it is in, the innermost first. */
  cgroups(cgroup: string): { folder: string; path: string }[];
  cgroupPrograms(folder: string): (Program & { hook: string })[];
  programsOfTypes(types: number[]): Program[];
}

/** Of enum bpf_prog_type. */
const BPF_PROG_TYPE_SK_SKB = 14;
const CGROUP_HOOKS: { readonly [D in Dropper]?: string } = {
  'cgroup egress': 'cgroup egress',
  'socket filter': 'cgroup ingress',
};

/** Programs that may have dropped what a socket sent or received. */
export function socketHooks(
  host: SocketHost,
  by: Dropper,
  cgroup: string,
  socket_filter_id: number,
): SocketHooks {
  const hooked: Hooked[] = [];
  const wanted = CGROUP_HOOKS[by];
  for (const { folder, path } of wanted === undefined ? [] : host.cgroups(cgroup)) {
    for (const { hook, id, name } of programsOf(host, folder)) {
      if (hook === wanted)
        hooked.push({
          ...NOTHING_HOOKED,
          ...{ hook, program_id: id, program: name, cgroup_path: path },
        });
    }
  }
  if (socket_filter_id > 0) {
    const program = host.programName(socket_filter_id);
    const filter = { hook: 'socket filter', program_id: socket_filter_id, program };
    hooked.push({ ...NOTHING_HOOKED, ...filter });
  }
  if (by === 'sockmap') {
    for (const { id, name } of host.programsOfTypes([BPF_PROG_TYPE_SK_SKB]))
      hooked.push({ ...NOTHING_HOOKED, hook: 'sockmap', program_id: id, program: name });
  }
  const held = host.holders(hooked.map(({ program_id }) => program_id));
  return {
    cgroup,
    socket_filter_id,
    hooked: hooked.map((one) => ({ ...one, ...held.get(one.program_id) })),
  };
}

function programsOf(host: SocketHost, folder: string): (Program & { hook: string })[] {
  try {
    return host.cgroupPrograms(folder);
  } catch {
    // The cgroup is gone.
    return [];
  }
}
