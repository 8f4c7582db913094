// SPDX-License-Identifier: Apache-2.0

import { existsSync, readFileSync } from 'node:fs';
import { builtFile } from '../host/built.ts';
import { attachAll } from '../native/attached.ts';
import type { Lab } from './lab.ts';

/** Ports of which bpf/lab/security.bpf.c lets a listener receive nothing, or answer no SYN. */
export const UNHEARD_PORT = 7445;
export const UNWANTED_PORT = 7446;

/** Names of the security modules. */
const IN_FORCE = '/sys/kernel/security/lsm';

/** Why no program of the BPF LSM can refuse anything here, or null. */
export function securityLacks(): string | null {
  if (!existsSync(object())) return `${object()}, which make builds`;
  try {
    if (readFileSync(IN_FORCE, 'utf8').split(',').includes('bpf')) {
      attachAll(object()).close();
      return null;
    }
  } catch {
    // Not told, or the kernel takes no such program.
  }
  return 'a kernel that lets programs of the BPF LSM decide';
}

/** As long as the lab is there, what comes to the two ports is refused, in any namespace. */
export function refuseByPolicy(lab: Lab): void {
  const attached = attachAll(object());
  lab.defer(() => attached.close());
}

const object = () => builtFile('security.bpf.o');
