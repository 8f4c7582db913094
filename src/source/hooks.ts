// SPDX-License-Identifier: Apache-2.0

import type { Fact } from '../diagnose/facts.ts';

/** The BPF programs of each fact: all of them, or the fact is not observable. */
export const PROGRAMS: Record<Fact, readonly string[]> = {
  syn_fate: ['packet_arrives', 'packet_consumed', 'packet_dropped'],
  reset_sent: ['reset_sent'],
  reset_received: ['reset_received'],
  drop: ['packet_dropped'],
  dialled: ['packet_leaves'],
  state: ['state_changes'],
  retransmit: ['segment_retransmitted', 'synack_retransmitted'],
  peer_name: ['syscall_returns', 'state_changes'],
  owner: ['state_changes', 'socket_destroyed', 'syscall_returns', 'existing_owners'],
};

/** What shows a fact on this kernel, or why nothing does. */
export interface HookState {
  fact: Fact;
  /** Attach points, `tp_btf/kfree_skb`; null where the fact is not observable. */
  hook: string | null;
  reason: string | null;
}

interface Program {
  name: string;
  section: string;
  loaded: boolean;
  attached: boolean;
  error: string | null;
}

/** A fact is there with all its programs, or not at all. Iterators run when asked: loaded is enough. */
export function hookStates(programs: readonly Program[]): HookState[] {
  const byName = new Map(programs.map((program) => [program.name, program]));
  return (Object.keys(PROGRAMS) as Fact[]).map((fact) => {
    const needed = PROGRAMS[fact].map((name) => byName.get(name));
    const missing = needed.find((program) => !program || !works(program));
    if (missing || needed.includes(undefined)) {
      return {
        fact,
        hook: null,
        reason: missing
          ? `${missing.section}: ${missing.error}`
          : 'no such program in the BPF object',
      };
    }
    return { fact, hook: needed.map((program) => program?.section).join(' + '), reason: null };
  });
}

function works({ section, loaded, attached }: Program): boolean {
  return section.startsWith('iter/') ? loaded : attached;
}
