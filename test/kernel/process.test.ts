// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { attachedBy, stillThere } from './attached.ts';
import { Running, TCPWHY } from './tcpwhy.ts';

it('tells a plain user what is missing', () => {
  const { status, stdout, stderr } = spawnSync(
    'setpriv',
    ['--reuid=65534', '--regid=65534', '--clear-groups', TCPWHY, 'doctor'],
    { encoding: 'utf8' },
  );
  expect(stdout).toBe('');
  expect(stderr).toMatch(/^tcpwhy: not permitted to watch the kernel: run it as root/);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(status).toBe(2);
});

it.each([
  ['ulimit -n 64', /may have 64 open files/],
  ['ulimit -v 1700000', /may have 1660 MiB of addresses, and it takes 2048/],
])('says what it has too little of to watch with: %s', (limit, said) => {
  const args = ['-c', `${limit}; exec "$0" trace --for 1s`, TCPWHY];
  const { status, stdout, stderr } = spawnSync('sh', args, { encoding: 'utf8' });
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(said);
});

describe('in a PID namespace', () => {
  const within = (...args: string[]) =>
    spawnSync('unshare', ['--pid', '--fork', ...args], { encoding: 'utf8' });

  it('says whose numbers of processes it tells', () => {
    const args = ['--mount-proc', TCPWHY, 'trace', ':1', '--for', '100ms'];
    const { stderr } = within(...args);
    expect(stderr).toMatch(/^tcpwhy runs in a PID namespace .*\nwatching; /);
    const [start = ''] = within(...args, '--json').stdout.split('\n');
    expect(JSON.parse(start).hooks.process).toBeNull();
  });

  it('says nothing where it sees the host’s', () => {
    const { stderr } = within(TCPWHY, 'trace', ':1', '--for', '100ms');
    expect(stderr).toMatch(/^watching; /);
  });
});

it('leaves nothing attached when it is killed', async () => {
  await using tcpwhy = await Running.start();
  const attached = attachedBy(tcpwhy.pid);
  expect(attached.names).toEqual(
    expect.arrayContaining(['packet_dropped', 'packet_arrives', 'reset_sent']),
  );
  expect(attached.links.size).toBeGreaterThan(0);
  await tcpwhy.stop('SIGKILL');
  // The kernel frees them a moment later.
  await expect.poll(() => stillThere(attached), { timeout: 5000 }).toEqual([]);
});

it('gives the verdict also when it is interrupted at once', async () => {
  // Whatever else fails on this host.
  await using tcpwhy = await Running.start(['trace', ':1']);
  const { summary, status } = await tcpwhy.stop();
  expect(summary.findings).toEqual({});
  expect(status).toBe(0);
});

it('has one heap for all threads', async () => {
  await using tcpwhy = await Running.start();
  // Those of threads begin at, and are reserved to, multiples of so much (HEAP_MAX_SIZE of glibc).
  const HEAP = 64 << 20;
  const maps = readFileSync(`/proc/${tcpwhy.pid}/maps`, 'utf8');
  const parts = [...maps.matchAll(/^(\w+)-(\w+) (\S+)/gm)].map(([, from = '', to = '', mode]) => {
    return { from: Number.parseInt(from, 16), to: Number.parseInt(to, 16), mode };
  });
  const heaps = parts.filter(({ from, to, mode }, index) => {
    const rest = parts[index + 1];
    const reserved = rest?.from === to && rest.mode === '---p' && rest.to === from + HEAP;
    return from % HEAP === 0 && mode === 'rw-p' && reserved;
  });
  expect(parts.length).toBeGreaterThan(20);
  expect(heaps).toEqual([]);
});
