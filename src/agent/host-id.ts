// SPDX-License-Identifier: Apache-2.0

import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

/** As OpenTelemetry takes it for `host.id`. */
const MACHINE_ID = ['/etc/machine-id', '/var/lib/dbus/machine-id'];

/**
 * Who this host is; where it has no id of its own, one that is made, and kept at `path` for the next start. Never
 * throws. `made` is told of that.
 */
export function hostId(
  path: string,
  made: (text: string) => void,
  machine: readonly string[] = MACHINE_ID,
): string {
  for (const own of machine) {
    const id = idIn(own);
    if (id !== null) return id;
  }
  const kept = idIn(path);
  if (kept !== null) return kept;
  const id = randomBytes(16).toString('hex');
  try {
    writeFileSync(path, `${id}\n`, { mode: 0o600 });
    made(`this host has no id in ${machine[0]}: it is ${id} from now on, as ${path} has it`);
  } catch (error) {
    made(
      `this host has no id in ${machine[0]}: it is ${id} until the agent ends: ${(error as Error).message}`,
    );
  }
  return id;
}

/** Before its first start an image has none, an empty one, or `uninitialized`. */
function idIn(path: string): string | null {
  try {
    const id = readFileSync(path, 'utf8').trim();
    return /^[0-9a-f]{32}$/.test(id) && !/^0+$/.test(id) ? id : null;
  } catch {
    return null;
  }
}
