// SPDX-License-Identifier: Apache-2.0

const PATIENCE_MS = 2000;

/** Asks until it is so. For what the kernel tells nobody but its counters. */
export function until(what: string, isSo: () => boolean): void {
  const deadline = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms for ${what}`);
  }
}
