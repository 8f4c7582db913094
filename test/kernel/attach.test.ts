// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { builtFile } from '../../src/host/built.ts';
import { Session, tryHooks } from '../../src/native/binding.ts';
import { attach } from '../../src/source/attach.ts';
import { EVERYTHING } from '../../src/source/filter.ts';

describe('attaching', () => {
  test.each([
    { tier: 'hooks' as const, probes: false },
    { tier: 'tracepoints' as const, probes: false },
    { tier: 'hooks' as const, probes: true },
  ])('loads the programs once with $tier, probes only: $probes', ({ tier, probes }) => {
    const { session, header, rounds } = attach({
      filter: EVERYTHING,
      records_per_s: 1,
      tier,
      probes,
    });
    session.close();
    expect(rounds).toBe(1);
    expect(header.hooks.find(({ fact }) => fact === 'state')?.hook).not.toBe('');
  });
});

describe('a hook that is tried with two instructions', () => {
  test('is refused as the program itself is', () => {
    const object = builtFile('tcpwhy.bpf.o');
    const tried = tryHooks(object);
    const session = Session.attach({ object, perfMap: 'events', ringBytes: 1 << 16 });
    const programs = new Map(session.programs().map((program) => [program.name, program]));
    session.close();
    expect(tried.map(({ name }) => name)).toEqual([...programs.keys()]);
    for (const { name, error } of tried.filter(({ error }) => error !== null))
      expect(programs.get(name)).toMatchObject({ attached: false, error });
  });
});
