// SPDX-License-Identifier: Apache-2.0

/** What a key counts together where there were too many of them (Event.key): all of one host, or of all hosts. */
export type Shared = 'host' | 'cause';

const HOST = String(2 ** 40);
const CAUSE = String(2 ** 41);
const OWN = String(2 ** 42);

/** Null: it counts one subject. */
export function sharedBy(key: string): Shared | null {
  if (key.length !== HOST.length || key < HOST || key >= OWN) return null;
  return key < CAUSE ? 'host' : 'cause';
}
