// SPDX-License-Identifier: Apache-2.0

import { ENDING } from '../host/signals.ts';

/** Between two ticks. Where every record is kept, so few of them come in one that the buffer holds them. */
export const TICK_MS = 100;
export const EVERY_RECORD_TICK_MS = 25;
/** A timer of Node takes no more: it would be over at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Takes signals from here on: the first one aborts `signal`, so that what was seen can still be told;
 * a second one ends the process at once, with status 130.
 */
export function interruption(): AbortSignal {
  const asked = new AbortController();
  const handle = () => {
    if (asked.signal.aborted) process.exit(130);
    asked.abort();
  };
  for (const signal of ENDING) process.on(signal, handle);
  return asked.signal;
}

/**
 * Calls `tick` each `tick_ms`, or after the time that this says then, until it returns true ('first'), the time is
 * over ('time') or `interrupted` aborts ('interrupted').
 */
export function watch(
  tick: () => boolean,
  duration_ms: number | null,
  interrupted: AbortSignal,
  tick_ms: number | (() => number) = TICK_MS,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      clearTimeout(limit);
      interrupted.removeEventListener('abort', abort);
    };
    const end = (why: string) => {
      stop();
      resolve(why);
    };
    const abort = () => end('interrupted');
    const next_ms = typeof tick_ms === 'number' ? () => tick_ms : tick_ms;
    let timer: NodeJS.Timeout | undefined;
    const tickIn = (ms: number) => {
      timer = setTimeout(() => {
        const began_ms = performance.now();
        try {
          if (tick()) return end('first');
        } catch (error) {
          stop();
          return reject(error);
        }
        tickIn(Math.max(0, next_ms() - (performance.now() - began_ms)));
      }, ms);
    };
    tickIn(next_ms());
    let limit: NodeJS.Timeout | undefined;
    const endIn = (left_ms: number) => {
      const now_ms = Math.min(left_ms, LONGEST_TIMER_MS);
      const next = left_ms > now_ms ? () => endIn(left_ms - now_ms) : () => end('time');
      limit = setTimeout(next, now_ms);
    };
    if (duration_ms !== null) endIn(duration_ms);
    if (interrupted.aborted) abort();
    else interrupted.addEventListener('abort', abort);
  });
}
