// SPDX-License-Identifier: Apache-2.0

/** Between two ticks. Where every record is kept, so few of them come in one that the buffer holds them. */
export const TICK_MS = 100;
export const EVERY_RECORD_TICK_MS = 25;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

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
  for (const signal of SIGNALS) process.on(signal, handle);
  return asked.signal;
}

/**
 * Calls `tick` each `tick_ms` until it returns true ('first'), the time is over ('time') or
 * `interrupted` aborts ('interrupted').
 */
export function watch(
  tick: () => boolean,
  duration_ms: number | null,
  interrupted: AbortSignal,
  tick_ms = TICK_MS,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearInterval(timer);
      clearTimeout(limit);
      interrupted.removeEventListener('abort', abort);
    };
    const end = (why: string) => {
      stop();
      resolve(why);
    };
    const abort = () => end('interrupted');
    const timer = setInterval(() => {
      try {
        if (tick()) end('first');
      } catch (error) {
        stop();
        reject(error);
      }
    }, tick_ms);
    const limit = duration_ms === null ? undefined : setTimeout(end, duration_ms, 'time');
    if (interrupted.aborted) abort();
    else interrupted.addEventListener('abort', abort);
  });
}
