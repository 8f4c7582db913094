// SPDX-License-Identifier: Apache-2.0

const PATIENCE_MS = 2000;

type Listener = (what: string) => void;
let listener: Listener | null = null;

/** Asks until it is so. For what the kernel tells nobody but its counters. */
export function until(what: string, isSo: () => boolean, patience_ms = PATIENCE_MS): void {
  const deadline = performance.now() + patience_ms;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`waited ${patience_ms} ms for ${what}`);
  }
  reached(what);
}

/** What was waited for is so now: a moment to look at both ends. */
export function reached(what: string): void {
  listener?.(what);
}

/** The work is of no interest: no moment of it is told. */
export function aside<T>(work: () => T): T {
  const told = listener;
  listener = null;
  try {
    return work();
  } finally {
    listener = told;
  }
}

/** Tells of each moment that is reached while `work` goes on, as who wants to know already is told. */
export function atEachMoment<T>(tell: Listener, work: () => T): T {
  const others = listener;
  listener = (what) => {
    others?.(what);
    tell(what);
  };
  try {
    return work();
  } finally {
    listener = others;
  }
}
