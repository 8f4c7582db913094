// SPDX-License-Identifier: Apache-2.0

import { execFileSync, spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { builtFile } from '../../src/host/built.ts';
import { monotonic_ns } from '../../src/host/kernel.ts';
import { Session, tryHooks } from '../../src/native/binding.ts';
import { attach } from '../../src/source/attach.ts';
import { EVERYTHING } from '../../src/source/filter.ts';
import { TCPWHY } from '../cli/run.ts';

const CLEAR_LINE = '\r\x1b[K';

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

describe('what is watched', () => {
  test('begins when it is attached, not when loading begins', () => {
    const called_ns = monotonic_ns();
    const { session, header } = attach({ filter: EVERYTHING, records_per_s: 1, tier: 'hooks' });
    const attached_ns = monotonic_ns();
    session.close();
    const loading_ns = header.start_ktime_ns - called_ns;
    expect(loading_ns).toBeGreaterThan(attached_ns - header.start_ktime_ns);
  });

  test('lasts as long as it was asked for, from when it began', () => {
    const told = execFileSync(TCPWHY, ['trace', ':1', '--for', '2s', '--json'], {
      encoding: 'utf8',
    })
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const { duration_s } = told.find(({ type }) => type === 'summary');
    expect(duration_s).toBeGreaterThanOrEqual(2);
  });
});

describe('while it attaches', () => {
  /** What a terminal is sent on stderr and stdout. */
  const onTerminal = (...args: string[]) =>
    execFileSync('script', ['-qec', `${TCPWHY} ${args.join(' ')}`, '/dev/null'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  const args = ['trace', ':1', '--for', '100ms'];

  test('a terminal says so, until it watches', () => {
    const shown = onTerminal(...args).split(CLEAR_LINE);
    expect(shown).toEqual(['attaching…', expect.stringMatching(/tcpwhy .*\r\nwatching; /)]);
  });

  test('nothing says so in --json and --quiet, and where there is no terminal', () => {
    for (const how of ['--json', '--quiet'])
      expect(onTerminal(...args, how).split(CLEAR_LINE)).toEqual([
        expect.not.stringContaining('attaching'),
      ]);
    const { stderr } = spawnSync(TCPWHY, args, { encoding: 'utf8' });
    expect(stderr).toMatch(/^watching; /);
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
