// SPDX-License-Identifier: Apache-2.0

import { readdirSync, readFileSync } from 'node:fs';

/** All threads of a process say the same in their status. */
export function threadsOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map(Number);
}

/** The half that reads the kernel for this one. */
export function readerOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
}
