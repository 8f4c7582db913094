// SPDX-License-Identifier: Apache-2.0

import type { Fact } from '../causes/facts.ts';

/** How a program is called in its second form: bpf/include/hooks.h. */
const PROBE = '_probe';

export type Tier = 'hooks' | 'tracepoints';

/** One way to see a fact: programs that are attached together or not at all. */
export interface Way {
  programs: readonly string[];
  tier: Tier;
  /** Parameters that a function or tracepoint must have: kernels differ, stable updates too. */
  parameters?: Readonly<Record<string, number>>;
  /** Functions that must be there: modules bring them and take them away. */
  functions?: readonly string[];
  /** Programs of a better way to another fact: while they run, this way would only cost. */
  unless?: readonly string[];
}

const hooks = (programs: string[], parameters?: Record<string, number>): Way => ({
  programs,
  tier: 'hooks',
  ...(parameters && { parameters }),
});
const tracepoints = (programs: string[], parameters?: Record<string, number>): Way => ({
  programs,
  tier: 'tracepoints',
  ...(parameters && { parameters }),
});

/** The same by kprobes and raw tracepoints, which need neither trampolines nor the kernel's BTF. */
const probes = (way: Way): Way => ({
  ...way,
  programs: way.programs.map((program) => `${program}${PROBE}`),
});
/** Each way, and where it cannot be taken its probes. */
const orProbes = (...ways: Way[]): Way[] => ways.flatMap((way) => [way, probes(way)]);

const SYN_BRACKET = [
  'syn_enters',
  'syn_leaves',
  'request_enters',
  'v4_cookie_enters',
  'v4_cookie_leaves',
  'v6_cookie_enters',
  'v6_cookie_leaves',
];

const WITHOUT_REASON = tracepoints(['packet_dropped_without_reason'], {
  'tracepoint:kfree_skb': 2,
});
/** Trampolines of such kernels do not take that many parameters. */
const withSourceCheck = ({ programs, parameters }: Way): Way =>
  hooks([...programs, ...SOURCE_CHECK], parameters);
const SOURCE_CHECK = ['source_check_begins_probe', 'source_check_ends_probe'];

const REJECT_V4 = ['v4_reset_by_rule', 'v4_unreach_by_rule'];
const REJECT_V6 = ['v6_reset_by_rule', 'v6_unreach_by_rule'];
const MODULE_V4 = ['nf_send_reset', 'nf_send_unreach'];
const MODULE_V6 = ['nf_send_reset6', 'nf_send_unreach6'];

/** Whether a packet was answered is known when it is freed. */
const answersUntil = (dropped: string, parameters: number): Way =>
  hooks(['active_reset_sent', 'v4_answer_begins', 'v6_answer_begins', dropped], {
    'tracepoint:tcp_send_reset': 2,
    'tracepoint:kfree_skb': parameters,
  });
const RESET_SENT = orProbes(
  tracepoints(['reset_sent'], { 'tracepoint:tcp_send_reset': 3 }),
  answersUntil('packet_dropped_without_sock', 3),
  answersUntil('packet_dropped_without_reason', 2),
);

/** Whose a refused segment was, where kfree_skb does not tell. */
const CHECKED = ['packet_dropped_without_sock', 'segment_checked'];
const CHECKED_BY = { 'tracepoint:kfree_skb': 3, tcp_validate_incoming: 4 };

/** Names of functions and what processes do are no program's: /proc has them. */
type HookedFact = Exclude<Fact, 'symbols' | 'process'>;
/** System calls as they return: what they gave, and why they failed. */
const CALLS = [
  hooks([
    'socket_accepted',
    'getpeername_returns',
    'accept_returns',
    'accept4_returns',
    'connect_returns',
    'bind_returns',
  ]),
  tracepoints(['getpeername_ends', 'accept_ends', 'accept4_ends', 'connect_ends', 'bind_ends']),
  ...orProbes(tracepoints(['syscall_returns'])),
];

/** Ways to see each fact, the best first. What all of them need is in each. */
export const WAYS: Record<HookedFact, readonly Way[]> = {
  syn_fate: orProbes(hooks(SYN_BRACKET), tracepoints(['packet_arrives', 'packet_consumed'])),
  reset_sent: RESET_SENT,
  reset_received: orProbes(
    hooks(['reset_believed'], { tcp_reset: 2 }),
    tracepoints(['reset_received', 'packet_arrives']),
  ),
  drop: [
    ...orProbes(
      tracepoints(['packet_dropped'], { 'tracepoint:kfree_skb': 4 }),
      tracepoints(['packet_dropped_without_sock'], { 'tracepoint:kfree_skb': 3 }),
    ),
    ...orProbes(WITHOUT_REASON).map(withSourceCheck),
    ...orProbes(WITHOUT_REASON),
  ],
  refused: orProbes(
    tracepoints(['packet_dropped'], { 'tracepoint:kfree_skb': 4 }),
    hooks([...CHECKED, 'room_sought'], CHECKED_BY),
    hooks(CHECKED, CHECKED_BY),
    hooks(['syn_checked', 'refusal_answered'], {
      'tracepoint:kfree_skb': 2,
      tcp_validate_incoming: 4,
      tcp_send_dupack: 2,
    }),
  ),
  timewait: orProbes(
    tracepoints(['packet_dropped'], { 'tracepoint:kfree_skb': 4 }),
    hooks(['timewait_checked']),
  ),
  dialled: RESET_SENT,
  tracked: [
    ...orProbes(
      tracepoints(['packet_dropped'], { 'tracepoint:kfree_skb': 4 }),
      tracepoints(['packet_dropped_without_sock'], { 'tracepoint:kfree_skb': 3 }),
    ),
    ...orProbes(WITHOUT_REASON),
  ],
  rejected: orProbes(
    { ...hooks([...REJECT_V4, ...REJECT_V6]), functions: [...MODULE_V4, ...MODULE_V6] },
    { ...hooks(REJECT_V4), functions: MODULE_V4 },
    { ...hooks(REJECT_V6), functions: MODULE_V6 },
    { ...tracepoints(['packet_leaves']), unless: ['syn_enters', 'syn_enters_probe'] },
  ),
  icmp: orProbes(
    hooks(['v4_error', 'v6_error', 'v4_error_leaves', 'v6_error_leaves']),
    tracepoints(['packet_arrives', 'packet_consumed']),
  ),
  neighbour: orProbes(tracepoints(['neighbour_waits', 'neighbour_answers'])),
  state: orProbes(tracepoints(['state_changes'])),
  retransmit: orProbes(tracepoints(['segment_retransmitted', 'synack_retransmitted'])),
  stalled: orProbes(
    tracepoints(['segment_retransmitted', 'synack_retransmitted', 'timer_expires']),
  ),
  peer_name: CALLS,
  denied: CALLS,
  owner: [
    tracepoints(['state_changes', 'existing_owners']),
    probes(tracepoints(['state_changes'])),
  ],
};

const FACTS = Object.keys(WAYS) as HookedFact[];

/** Iterators, which run when asked and belong to no fact alone. */
const ALWAYS = ['existing_owners', 'existing_services', 'existing_sockets'];

/** Every program of the BPF object. */
export const ALL_PROGRAMS: readonly string[] = [
  ...new Set([
    ...ALWAYS,
    ...FACTS.flatMap((fact) => WAYS[fact].flatMap(({ programs }) => programs)),
  ]),
];

/** What can be known before anything is loaded. */
export interface Kernel {
  /** Parameters of functions and tracepoints, by the names that WAYS uses; missing ones are absent. */
  parameters: Readonly<Record<string, number>>;
  /** Those of ASKED_FUNCTIONS that are there. */
  functions: ReadonlySet<string>;
  /** Highest tier that may be used. */
  tier: Tier;
  /** Whether trampolines may be used (fentry, fexit, tp_btf), or only probes. */
  trampolines: boolean;
}

/** Names whose parameters a Kernel has to tell. */
export const ASKED_PARAMETERS: readonly string[] = [
  ...new Set(
    FACTS.flatMap((fact) => WAYS[fact].flatMap(({ parameters }) => Object.keys(parameters ?? {}))),
  ),
];

/** Functions of modules, which may not be there. */
export const ASKED_FUNCTIONS: readonly string[] = [
  ...new Set(FACTS.flatMap((fact) => WAYS[fact].flatMap(({ functions }) => functions ?? []))),
];

/** How a fact is seen, or why it is not. */
export interface Choice {
  fact: Fact;
  way: Way | null;
  /** Why no better way was taken, one reason a way. */
  reasons: string[];
}

/** The best way for each fact, given why programs failed that were tried before. */
export function choose(kernel: Kernel, failed: ReadonlyMap<string, string>): Choice[] {
  return FACTS.map((fact) => {
    const reasons: string[] = [];
    for (const way of WAYS[fact]) {
      const why = against(way, kernel, failed);
      if (why === null) return { fact, way, reasons };
      if (why !== '' && !reasons.includes(why)) reasons.push(why);
    }
    return { fact, way: null, reasons };
  });
}

/** Why a way cannot be taken; empty where it is another kernel's way. */
function against(
  { programs, tier, parameters, functions = [], unless = [] }: Way,
  kernel: Kernel,
  failed: ReadonlyMap<string, string>,
): string | null {
  if (tier === 'hooks' && kernel.tier === 'tracepoints')
    return 'not asked for (--tier tracepoints)';
  if (!kernel.trampolines && !programs.every((program) => program.endsWith(PROBE))) return '';
  for (const [name, count] of Object.entries(parameters ?? {})) {
    if (kernel.parameters[name] !== count) return '';
  }
  const absent = functions.find((name) => !kernel.functions.has(name));
  if (absent !== undefined) return `${absent}: no module that has it is loaded`;
  const hooked = kernel.tier === 'hooks' && unless.some((program) => !failed.has(program));
  if (hooked) return '';
  const broken = programs.find((program) => failed.has(program));
  return broken === undefined ? null : (failed.get(broken) ?? '');
}

/** Programs that no choice needs: not to be loaded. */
export function notChosen(all: readonly string[], choices: readonly Choice[]): string[] {
  const needed = new Set([...ALWAYS, ...choices.flatMap(({ way }) => way?.programs ?? [])]);
  return all.filter((program) => !needed.has(program));
}

export interface Program {
  name: string;
  section: string;
  loaded: boolean;
  attached: boolean;
  error: string | null;
}

/** Chosen programs that do not run, with the reason. Iterators run when asked: loaded is enough. */
export function failures(
  programs: readonly Program[],
  choices: readonly Choice[],
): Map<string, string> {
  const chosen = new Set(choices.flatMap(({ way }) => way?.programs ?? []));
  const broken = programs.filter(
    ({ name, section, loaded, attached }) =>
      chosen.has(name) && !(section.startsWith('iter/') ? loaded : attached),
  );
  return because(broken);
}

/** Programs that cannot run here, with the reason. */
export function refused(programs: readonly Program[]): Map<string, string> {
  return because(programs.filter(({ error }) => error !== null));
}

function because(programs: readonly Program[]): Map<string, string> {
  return new Map(
    programs.map(({ name, section, error }) => [name, `${section}: ${error ?? 'not attached'}`]),
  );
}
