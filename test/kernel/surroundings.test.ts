// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { lacking } from '../software/service.ts';
import { BY_SUDO, CALLER } from './caller.ts';
import { TCPWHY } from './tcpwhy.ts';

const own = mkdtempSync(join(tmpdir(), 'tcpwhy-surroundings-'));
chownSync(own, CALLER, CALLER);
afterAll(() => rmSync(own, { recursive: true }));

/** `trace` for a second, called by sudo, where a shell has done that with mounts of its own. */
function trace(prepare: string, ...args: string[]) {
  const command = `${prepare}; exec "$0" trace :1 --for 1s "$@"`;
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-ec', command, TCPWHY, ...args],
    {
      encoding: 'utf8',
      env: { ...process.env, ...BY_SUDO, TMPDIR: own },
    },
  );
  return { status, stdout, stderr };
}

it.each([
  ['other processes are hidden', 'mount -t proc -o hidepid=2 proc /proc'],
  ['there is no bpffs', 'mount -t tmpfs tmpfs /sys/fs'],
  ['nothing in the folder for what is temporary may run', `mount -t tmpfs -o noexec tmpfs ${own}`],
  ['all that is there can only be read', 'mount -o remount,bind,ro /'],
  ['nothing is open', 'exec 0<&- 2>&-'],
])(
  'watches where %s',
  (_, prepare) => {
    const { status, stdout, stderr } = trace(prepare);
    expect([status, stderr.replace(/^watching; .*\n/, '')]).toEqual([0, '']);
    expect(stdout).toMatch(/No failure seen\.|1 × /);
  },
  60_000,
);

it.each([
  ['no BTF', 'mount -t tmpfs tmpfs /sys/kernel', /^tcpwhy: no BTF, .* --btf FILE/],
  ['no /proc', 'mount -t tmpfs tmpfs /proc', /^tcpwhy: \/proc\/self is missing, .* mount -t proc/],
  ['no /sys', 'mount -t tmpfs tmpfs /sys', /^tcpwhy: \/sys\/\S+ is missing, .* mount -t sysfs/],
])(
  'says that there is %s',
  (_, prepare, said) => {
    const { status, stdout, stderr } = trace(prepare);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(said);
  },
  60_000,
);

it('follows no link of the caller’s, whose umask makes nothing open', () => {
  const [target, link, file] = ['target', 'link', 'file'].map((name) => join(own, name));
  writeFileSync(target ?? '', 'as it was');
  const linked = trace(`ln -s ${target} ${link}`, '-o', link ?? '', '--force');
  expect(linked.stderr).not.toMatch(/^tcpwhy: /);
  expect(statSync(target ?? '').size).toBe('as it was'.length);
  expect(trace('umask 0', '-o', file ?? '').stderr).not.toMatch(/^tcpwhy: /);
  for (const made of [link, file]) {
    const { uid, mode } = statSync(made ?? '');
    expect([uid, mode & 0o777]).toEqual([CALLER, 0o600]);
  }
}, 60_000);

it('says what is left on a kernel without BPF', ({ skip }) => {
  const missing = lacking('strace');
  skip(missing !== null, missing ?? '');
  const inject = ['-e', 'trace=bpf', '-e', 'inject=bpf:error=ENOSYS'];
  const strace = ['-f', '--seccomp-bpf', '-qq', '-o', '/dev/null', ...inject];
  for (const command of ['trace', 'doctor']) {
    const { status, stderr } = spawnSync('strace', [...strace, TCPWHY, command], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([2, expect.stringMatching(/^tcpwhy: this kernel has no BPF/)]);
  }
});
