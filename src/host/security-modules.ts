// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';

/** LSM_ID_* of uapi/linux/lsm.h. */
const NAMES: Readonly<Record<number, string>> = {
  100: 'capability',
  101: 'selinux',
  102: 'smack',
  103: 'tomoyo',
  104: 'apparmor',
  105: 'yama',
  106: 'loadpin',
  107: 'safesetid',
  108: 'lockdown',
  109: 'bpf',
  110: 'landlock',
  111: 'ima',
  112: 'evm',
  113: 'ipe',
};
const BPF_PROG_TYPE_LSM = 29;

/** Whom else it takes to tell which modules are active. */
export interface ModuleHost {
  securityModules(): number[];
  programsOfTypes(types: number[]): { id: number; name: string }[];
}

/**
 * Security modules that may refuse something to a process: those that are active, without one that is
 * known to leave this process alone. Empty where the host does not tell.
 */
export function modulesFor(host: ModuleHost, pid: number): string[] {
  return active(host).filter((name) => {
    if (name === 'bpf') return host.programsOfTypes([BPF_PROG_TYPE_LSM]).length > 0;
    if (name === 'selinux') return read('/sys/fs/selinux/enforce') !== '0';
    if (name === 'apparmor') return read(`/proc/${pid}/attr/apparmor/current`) !== 'unconfined';
    return true;
  });
}

function active({ securityModules }: ModuleHost): string[] {
  const listed = read('/sys/kernel/security/lsm');
  if (listed) return listed.split(',');
  return securityModules().map((id) => NAMES[id] ?? `module ${id}`);
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}
