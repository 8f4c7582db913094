// SPDX-License-Identifier: Apache-2.0

import { ENDING } from '../host/signals.ts';
import type { ScreenSource } from '../sinks/tui/model.ts';
import { runScreen, type ScreenOptions } from '../sinks/tui/screen.tsx';

/**
 * Shows the screen until it is left, as signals leave it too, or what it shows cannot go on: `fed` rejects.
 * Throws that, once the terminal is as it was. A terminal that takes nothing any more is not waited for when a second
 * signal comes.
 */
export async function show(
  screen: ScreenSource,
  options: ScreenOptions,
  fed: Promise<void>,
): Promise<void> {
  const leave = new AbortController();
  const abort = () => {
    if (leave.signal.aborted) process.exit(130);
    leave.abort();
  };
  let failure: { error: unknown } | null = null;
  fed.catch((error: unknown) => {
    failure = { error };
    leave.abort();
  });
  for (const signal of ENDING) process.on(signal, abort);
  try {
    await runScreen(screen, { ...options, signal: leave.signal });
  } finally {
    for (const signal of ENDING) process.off(signal, abort);
  }
  if (failure) throw (failure as { error: unknown }).error;
}
