// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';

/**
 * What reading the kernel takes, by its number in capabilities(7), and what is not known without it; null: then
 * there is nothing to be known, but that CAP_SYS_ADMIN does too.
 */
export const CAPABILITIES = {
  CAP_BPF: { number: 39, without: null },
  CAP_PERFMON: { number: 38, without: null },
  CAP_NET_ADMIN: {
    number: 12,
    without:
      'rules of netfilter, who translated a connection, and programs at devices and cgroups are not known',
  },
  CAP_SYS_ADMIN: {
    number: 21,
    without:
      'network namespaces are not entered: of sockets from before, devices, routes and rules nothing is known, not even of its own namespace; nor names of BPF programs',
  },
  CAP_SYS_PTRACE: {
    number: 19,
    without:
      'namespaces that only processes of other users have, and how many files these have open, are not known',
  },
  CAP_DAC_READ_SEARCH: {
    number: 2,
    without:
      'how many files processes of other users have open, and pinned programs, are not known',
  },
  CAP_SYSLOG: { number: 34, without: 'functions of the kernel have no names' },
} as const;

export const CAP_IPC_LOCK = 14;
export const CAP_SYS_RESOURCE = 24;
/** Without a limit of locked memory neither is needed, for rings and before 5.11 for maps. */
export const TO_LOCK_MEMORY = [CAP_IPC_LOCK, CAP_SYS_RESOURCE];

/** Those that this process, which watches, lacks, and what it cannot know for that. */
export function missing(): { name: string; without: string }[] {
  return Object.entries(CAPABILITIES).flatMap(([name, { number, without }]) =>
    without === null || has(number) ? [] : [{ name, without }],
  );
}

/** Null where it cannot be told. */
function effective(): bigint | null {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
    return mask === undefined ? null : BigInt(`0x${mask}`);
  } catch {
    return null;
  }
}

/** Whether this process has capability `number`; what cannot be told is taken for so, and the kernel says no. */
export function has(number: number): boolean {
  const mask = effective();
  return mask === null || ((mask >> BigInt(number)) & 1n) === 1n;
}

/** Of the first user namespace: everybody is who they are. */
const EVERYBODY = '0 0 4294967295';

/** Whether this process is in a user namespace, whose capabilities are none for what is the whole host's. */
export function inUserNamespace(): boolean {
  try {
    return readFileSync('/proc/self/uid_map', 'utf8').trim().replaceAll(/\s+/g, ' ') !== EVERYBODY;
  } catch {
    return false;
  }
}
