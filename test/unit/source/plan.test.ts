// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import {
  ASKED_FUNCTIONS,
  ASKED_PARAMETERS,
  choose,
  failures,
  type Kernel,
  WAYS,
} from '../../../src/source/plan.ts';

/** As BTF tells of Linux 6.1: resets have no reason yet, drops have one. */
const kernel: Kernel = {
  parameters: {
    'tracepoint:tcp_send_reset': 2,
    'tracepoint:kfree_skb': 3,
    tcp_reset: 2,
    tcp_validate_incoming: 4,
    tcp_send_dupack: 2,
  },
  functions: new Set(ASKED_FUNCTIONS),
  tier: 'hooks',
  trampolines: true,
};
const NOTHING = new Map<string, string>();

function programs(fact: keyof typeof WAYS, of: Kernel, failed = NOTHING) {
  return choose(of, failed).find((choice) => choice.fact === fact)?.way?.programs;
}

describe('the way to each fact', () => {
  test('goes by parameters, never by version', () => {
    expect(Object.keys(kernel.parameters).sort()).toEqual([...ASKED_PARAMETERS].sort());
    expect(programs('reset_sent', kernel)).toContain('v4_answer_begins');
    expect(programs('drop', kernel)).toEqual(['packet_dropped_without_sock']);
    const newer = { ...kernel.parameters, 'tracepoint:tcp_send_reset': 3 };
    expect(programs('reset_sent', { ...kernel, parameters: newer })).toEqual(['reset_sent']);
  });

  test('is that of kprobes where trampolines fail, before that of tracepoints', () => {
    const failed = new Map([['syn_enters', 'fentry: ENOTSUPP']]);
    expect(programs('syn_fate', kernel, failed)).toContain('syn_enters_probe');
    failed.set('syn_enters_probe', 'kprobe: EPERM');
    expect(programs('syn_fate', kernel, failed)).toEqual(['packet_arrives', 'packet_consumed']);
    const syn_fate = choose(kernel, failed).find(({ fact }) => fact === 'syn_fate');
    expect(syn_fate?.reasons).toEqual(['fentry: ENOTSUPP', 'kprobe: EPERM']);
  });

  test('is none where all fail, with every reason', () => {
    const failed = new Map(
      WAYS.state.flatMap((way) => way.programs.map((name) => [name, `no ${name}`])),
    );
    const state = choose(kernel, failed).find(({ fact }) => fact === 'state');
    expect(state).toEqual({
      fact: 'state',
      way: null,
      reasons: ['no state_changes', 'no state_changes_probe'],
    });
  });

  test('is by functions of modules only where those are loaded', () => {
    expect(programs('rejected', kernel)).toHaveLength(4);
    const v4 = { ...kernel, functions: new Set(['nf_send_reset', 'nf_send_unreach']) };
    expect(programs('rejected', v4)).toEqual(['v4_reset_by_rule', 'v4_unreach_by_rule']);
    const none = { ...kernel, functions: new Set<string>() };
    const rejected = choose(none, NOTHING).find(({ fact }) => fact === 'rejected');
    expect(rejected?.way).toBeNull();
    expect(rejected?.reasons).toContain('nf_send_reset: no module that has it is loaded');
  });

  test('runs at every system call only where the calls it needs have no events', () => {
    const failed = new Map([['accept_returns', 'fexit: EPERM']]);
    expect(programs('peer_name', kernel, failed)).toEqual([
      'getpeername_ends',
      'accept_ends',
      'accept4_ends',
      'connect_ends',
      'bind_ends',
    ]);
    failed.set('accept_ends', 'tp: ENOENT');
    expect(programs('peer_name', kernel, failed)).toEqual(['syscall_returns']);
  });

  test('runs for every packet that leaves only where another fact needs it to', () => {
    const none = { ...kernel, functions: new Set<string>() };
    const failed = new Map([['syn_enters', 'fentry: EPERM']]);
    expect(programs('rejected', none, failed)).toBeUndefined();
    failed.set('syn_enters_probe', 'kprobe: EPERM');
    expect(programs('rejected', none, failed)).toEqual(['packet_leaves']);
  });

  test('uses nothing but probes where there are no trampolines', () => {
    const choices = choose({ ...kernel, trampolines: false }, NOTHING);
    expect(choices.filter(({ way }) => way === null)).toEqual([]);
    const chosen = choices.flatMap(({ way }) => way?.programs ?? []);
    expect(chosen.filter((name) => !name.endsWith('_probe'))).toEqual([]);
  });

  test('stays below the hooks where those are not asked for', () => {
    const choices = choose({ ...kernel, tier: 'tracepoints' }, NOTHING);
    expect(choices.filter(({ way }) => way?.tier === 'hooks')).toEqual([]);
    expect(choices.filter(({ way }) => !way).map(({ fact }) => fact)).toEqual([
      'reset_sent',
      'refused',
      'timewait',
      'dialled',
    ]);
  });

  test('to what a connection expected is by the drop itself where that names the socket', () => {
    const silent = { ...kernel.parameters, 'tracepoint:kfree_skb': 2 };
    expect(programs('refused', kernel)).toEqual(
      expect.arrayContaining(['segment_checked', 'room_sought']),
    );
    const inlined = new Map(
      ['room_sought', 'room_sought_probe'].map((name) => [name, 'no tcp_prune_ofo_queue']),
    );
    expect(programs('refused', kernel, inlined)).toEqual([
      'packet_dropped_without_sock',
      'segment_checked',
    ]);
    expect(programs('refused', { ...kernel, parameters: silent })).toContain('refusal_answered');
    const telling = { ...kernel.parameters, 'tracepoint:kfree_skb': 4 };
    for (const fact of ['refused', 'timewait'] as const)
      expect(programs(fact, { ...kernel, parameters: telling })).toEqual(['packet_dropped']);
  });
});

describe('a program that was chosen and does not run', () => {
  const program = { section: 'fentry/tcp_reset', loaded: true, attached: false, error: 'EPERM' };

  test('is a failure, others are not', () => {
    const choices = choose(kernel, NOTHING);
    const found = failures(
      [
        { ...program, name: 'reset_believed' },
        { ...program, name: 'packet_leaves' },
      ],
      choices,
    );
    expect([...found]).toEqual([['reset_believed', 'fentry/tcp_reset: EPERM']]);
  });
});
