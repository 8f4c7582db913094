// SPDX-License-Identifier: Apache-2.0

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { until } from './until.ts';

const PREFIX = 'tcpwhy-';
export const RUN_NETNS = '/run/netns';

/**
 * What a new namespace takes over from the host (`net.core.devconf_inherit_init_net` 0), as the kernel itself begins
 * with it: Docker and Kubernetes let a host forward and route 127.0.0.0/8, distributions filter reverse paths.
 */
const AS_NEW = `
for at in /proc/sys/net/ipv4/conf/*; do
  for what in accept_local arp_announce arp_ignore log_martians route_localnet rp_filter src_valid_mark; do
    echo 0 >$at/$what
  done
done
echo 0 >/proc/sys/net/ipv4/ip_forward`;

/** A network namespace made here; its name says by which process. */
export class Netns {
  readonly name: string;
  /** What `Socket.open` takes. */
  readonly path: string;
  /** Inode number, as tcpwhy reports it. */
  readonly inode: number;
  #resident: ChildProcess | null = null;

  private constructor(name: string) {
    this.name = name;
    this.path = `${RUN_NETNS}/${name}`;
    this.inode = statSync(this.path).ino;
  }

  static create(label: string): Netns {
    const name = `${PREFIX}${process.pid}-${label}`;
    run('ip', ['netns', 'add', name]);
    const netns = new Netns(name);
    netns.exec('sh', ['-e'], AS_NEW);
    return netns;
  }

  /** Several `ip` commands at once. */
  ip(...commands: string[]): void {
    run('ip', ['-n', this.name, '-batch', '-'], commands.join('\n'));
  }

  sysctl(settings: Record<string, string | number>): void {
    const texts = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
    this.exec('sysctl', ['-qw', ...texts]);
  }

  /** Whether this kernel has the setting. */
  has(setting: string): boolean {
    return existsSync(`/proc/sys/${setting.replaceAll('.', '/')}`);
  }

  exec(command: string, args: string[], input = ''): string {
    return run('ip', ['netns', 'exec', this.name, command, ...args], input);
  }

  /** A counter as /proc/net/snmp and /proc/net/netstat name it: `Tcp OutRsts`, `TcpExt ListenDrops`. */
  counter(group: string, name: string): number {
    const value = this.counters(group)[name];
    if (value === undefined) throw new Error(`${this.name}: no counter ${group} ${name}`);
    return value;
  }

  /** Lets a process live in it, so that counters are read from a file: much faster where processes are dear. */
  reside(): void {
    const resident = spawn('ip', ['netns', 'exec', this.name, 'sleep', '600'], { stdio: 'ignore' });
    this.#resident = resident;
    until('a process to be in the namespace', () => inodeOf(resident.pid ?? 0) === this.inode);
  }

  /** All of such a group. */
  counters(group: string): Record<string, number> {
    const pid = this.#resident?.pid;
    const files = pid
      ? ['snmp', 'netstat'].map((name) => readFileSync(`/proc/${pid}/net/${name}`, 'utf8')).join('')
      : this.exec('cat', ['/proc/net/snmp', '/proc/net/netstat']);
    const lines = files.split('\n').filter((line) => line.startsWith(`${group}: `));
    const [names = [], values = []] = lines.map((line) => line.split(' ').slice(1));
    return Object.fromEntries(names.map((name, at) => [name, Number(values[at])]));
  }

  delete(): void {
    this.#resident?.kill('SIGKILL');
    run('ip', ['netns', 'del', this.name]);
  }
}

/** Those of the programs that are in no folder of PATH. */
export function missingCommands(commands: readonly string[]): string[] {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return commands.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
}

export function run(command: string, args: string[], input = ''): string {
  return execFileSync(command, args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
}

/** Of the network namespace that a process is in. */
function inodeOf(pid: number): number {
  try {
    return Number(readlinkSync(`/proc/${pid}/ns/net`).match(/\d+/)?.[0]);
  } catch {
    return 0;
  }
}
