// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { hostname, machine, release } from 'node:os';

export interface KernelIdentity {
  host: string;
  kernel: string;
  machine: string;
}

export function kernelIdentity(): KernelIdentity {
  return { host: hostname(), kernel: release(), machine: machine() };
}

/** CLOCK_MONOTONIC in nanoseconds: what bpf_ktime_get_ns() returns. */
export function monotonic_ns(): number {
  return Number(process.hrtime.bigint());
}

/** What this thread has run on a CPU, in ms: unlike time, none of it goes by while others run. */
export function cpu_ms(): number {
  // Node has the thread's own since 23.9.
  const { user, system } = (process.threadCpuUsage ?? process.cpuUsage).call(process);
  return (user + system) / 1000;
}

/** Settings that change what TCP does, as under /proc/sys; those that this kernel lacks are left out. */
const SYSCTLS = [
  'net/core/somaxconn',
  'net/ipv4/tcp_abort_on_overflow',
  'net/ipv4/tcp_fin_timeout',
  'net/ipv4/tcp_keepalive_time',
  'net/ipv4/tcp_max_syn_backlog',
  'net/ipv4/tcp_rfc1337',
  'net/ipv4/tcp_retries2',
  'net/ipv4/tcp_syn_retries',
  'net/ipv4/tcp_synack_retries',
  'net/ipv4/tcp_syncookies',
  'net/ipv4/tcp_timestamps',
  'net/ipv4/tcp_tw_recycle',
  'net/ipv4/tcp_tw_reuse',
  'net/ipv4/conf/all/rp_filter',
  'net/ipv4/conf/default/rp_filter',
];

export function readSysctls(): Record<string, string> {
  const values: Record<string, string> = {};
  for (const name of SYSCTLS) {
    const value = tryRead(`/proc/sys/${name}`);
    if (value !== null) values[name] = value.trim();
  }
  return values;
}

/** Counters of /proc/net/netstat and /proc/net/snmp of our own namespace: `TcpExt.ListenDrops`. */
export function readCounters(): Record<string, number> {
  const counters: Record<string, number> = {};
  for (const path of ['/proc/self/net/netstat', '/proc/self/net/snmp']) {
    const lines = (tryRead(path) ?? '').split('\n');
    for (let i = 0; i + 1 < lines.length; i += 2) {
      const names = lines[i]?.split(' ') ?? [];
      const values = lines[i + 1]?.split(' ') ?? [];
      const group = names[0]?.replace(':', '');
      for (let at = 1; at < names.length; at++)
        counters[`${group}.${names[at]}`] = Number(values[at]);
    }
  }
  return counters;
}

function tryRead(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
