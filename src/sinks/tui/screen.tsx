// SPDX-License-Identifier: Apache-2.0

import { render } from 'ink';
import { DrawnRows } from './drawn.ts';
import { type Glyphs, glyphsFor } from './glyphs.ts';
import { COMFORTABLE } from './layout.ts';
import { Live } from './live.tsx';
import type { ScreenSource } from './model.ts';
import { endPastes } from './pastes.ts';

export interface ScreenOptions {
  color: boolean;
  /** Ends the screen from outside: a signal that the program got, a time that is over. */
  signal?: AbortSignal | undefined;
  stdin?: NodeJS.ReadStream | undefined;
  stdout?: NodeJS.WriteStream | undefined;
  /** Signs for drawing; without, what the environment says the terminal can show. */
  glyphs?: Glyphs | undefined;
}

export interface ScreenResult {
  /** `signal`: the abort signal fired, or the terminal is gone. */
  reason: 'quit' | 'interrupt' | 'signal';
}

/**
 * The live screen, until someone leaves it. The terminal is as it was when the promise settles, also when it
 * rejects because a view or the source threw; ink does the same when the process exits or is killed by a signal.
 */
export async function runScreen(
  source: ScreenSource,
  options: ScreenOptions,
): Promise<ScreenResult> {
  const {
    signal,
    color,
    stdin = process.stdin,
    stdout = process.stdout,
    glyphs = glyphsFor(process.env),
  } = options;
  if (!stdin.isTTY || !stdout.isTTY)
    throw new Error('the live screen needs a terminal for input and output');
  if (signal?.aborted) return { reason: 'signal' };

  // Of a terminal that has no size, as a serial line, ink asks /dev/tty each time, and closes none.
  process.env.COLUMNS ||= String(COMFORTABLE.columns);
  process.env.LINES ||= String(COMFORTABLE.rows);
  const drawn = new DrawnRows(stdout);
  const instance = render(<Live source={source} color={color} glyphs={glyphs} drawn={drawn} />, {
    stdin,
    stdout,
    interactive: true,
    alternateScreen: true,
    exitOnCtrlC: false,
  });
  const leave = () => instance.unmount();
  // Whoever had the terminal meanwhile wrote to it, and has it take whole lines. What it is already Node does not ask for.
  const goOn = () => {
    stdin.setRawMode(false);
    stdin.setRawMode(true);
    drawn.again();
  };
  signal?.addEventListener('abort', leave, { once: true });
  for (const event of ['end', 'close', 'error']) stdin.on(event, leave);
  stdout.on('error', leave);
  const leavePastes = endPastes(stdin);
  waitForTerminal([stdout, process.stderr], false);
  process.on('SIGCONT', goOn);
  try {
    const left = (await instance.waitUntilExit()) as ScreenResult | undefined;
    return left ?? { reason: 'signal' };
  } finally {
    signal?.removeEventListener('abort', leave);
    for (const event of ['end', 'close', 'error']) stdin.off(event, leave);
    stdout.off('error', leave);
    leavePastes();
    waitForTerminal([stdout, process.stderr], true);
    process.off('SIGCONT', goOn);
  }
}

/**
 * Node waits for a terminal to take what is written: for one that takes nothing (Ctrl-S, a line that broke), as long as
 * that lasts, and neither the kernel nor a signal is heard.
 */
function waitForTerminal(outputs: NodeJS.WriteStream[], waits: boolean): void {
  for (const output of outputs) {
    const { _handle } = output as { _handle?: { setBlocking?(waits: boolean): void } };
    if (output.isTTY) _handle?.setBlocking?.(waits);
  }
}
