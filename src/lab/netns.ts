// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { netnsFiles } from '../native/binding.ts';

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

  /** All of such a group. */
  counters(group: string): Record<string, number> {
    const lines = this.files('snmp', 'netstat')
      .split('\n')
      .filter((line) => line.startsWith(`${group}: `));
    const [names = [], values = []] = lines.map((line) => line.split(' ').slice(1));
    return Object.fromEntries(names.map((name, at) => [name, Number(values[at])]));
  }

  /** Of /proc/net, one after the other; without a process, which is dear where it is asked again and again. */
  files(...names: string[]): string {
    const texts = netnsFiles(
      names.map((name) => `thread-self/net/${name}`),
      this.path,
    );
    return texts.join('');
  }

  delete(): void {
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
