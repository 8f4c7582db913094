// SPDX-License-Identifier: Apache-2.0

const TICK_MS = 100;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Calls `tick` ten times a second until it returns true ('first'), the time is over ('time') or a
 * signal came ('interrupted'). A second signal ends the process at once, with status 130.
 */
export function watch(tick: () => boolean, duration_ms: number | null): Promise<string> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearInterval(timer);
      clearTimeout(limit);
      for (const signal of SIGNALS) process.off(signal, interrupted);
    };
    const end = (why: string) => {
      stop();
      resolve(why);
    };
    const interrupted = () => {
      end('interrupted');
      for (const signal of SIGNALS) process.once(signal, () => process.exit(130));
    };
    const timer = setInterval(() => {
      try {
        if (tick()) end('first');
      } catch (error) {
        stop();
        reject(error);
      }
    }, TICK_MS);
    const limit = duration_ms === null ? undefined : setTimeout(end, duration_ms, 'time');
    for (const signal of SIGNALS) process.on(signal, interrupted);
  });
}
