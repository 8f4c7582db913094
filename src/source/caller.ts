// SPDX-License-Identifier: Apache-2.0

import { CAPABILITIES, has } from '../host/capabilities.ts';
import { keepCapabilities, limitCapabilities } from '../native/binding.ts';

/** Who called tcpwhy, and is to have all of it but the reader. */
export interface Caller {
  uid: number;
  gid: number;
}

/** The last number is none: system calls take it for no change. */
const LARGEST_ID = 2 ** 32 - 2;

/** Null where nobody but root called it by sudo: then there is nobody else to be; undefined where it does not say who. */
export function callerBySudo(
  { SUDO_UID, SUDO_GID }: NodeJS.ProcessEnv,
  euid = process.geteuid?.(),
): Caller | null | undefined {
  if (euid !== 0 || SUDO_UID === undefined || /^0+$/.test(SUDO_UID)) return null;
  const [uid, gid] = [idOf(SUDO_UID), idOf(SUDO_GID)];
  return uid === null || gid === null ? undefined : { uid, gid };
}

function idOf(text = ''): number | null {
  return /^\d{1,10}$/.test(text) && Number(text) <= LARGEST_ID ? Number(text) : null;
}

/** For good, without capabilities. */
export function become({ uid, gid }: Caller): void {
  const { setgroups, setgid, setuid } = process;
  // @types/node lacks it.
  const { initgroups } = process as { initgroups?(user: number, group: number): void };
  setgroups?.([gid]);
  try {
    initgroups?.(uid, gid);
  } catch {
    // Whom the host does not know has no other groups.
  }
  setgid?.(gid);
  setuid?.(uid);
}

/** For good; what root may read, and the caller may not, can still be read, but not written. */
export function becomeAndRead(caller: Caller): void {
  const { number } = CAPABILITIES.CAP_DAC_READ_SEARCH;
  const kept = has(number) ? [number] : [];
  keepCapabilities();
  become(caller);
  // Of this thread, and of those that it begins: the pool that reads files.
  limitCapabilities(kept);
}
