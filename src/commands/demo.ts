// SPDX-License-Identifier: Apache-2.0

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Values } from '../app/declare.ts';
import type { DEMO } from '../app/flags.ts';
import { UsageError } from '../app/usage.ts';
import { builtFile, itself } from '../host/built.ts';
import { makeFailures } from '../lab/demo.ts';
import { missingCommands } from '../lab/netns.ts';

const SHOWN_FOR = '20s';

/** Makes failures in private network namespaces, and shows them as they are found. */
export async function demo(flags: Values<typeof DEMO>): Promise<number> {
  if (flags.failures) return failuresUntilLeft();
  // Ctrl-C is for the child that shows, which then ends.
  process.on('SIGINT', () => {});
  return process.getuid?.() === 0 ? showFailures() : showRecording();
}

/** As a child: until the one that began it is gone. */
async function failuresUntilLeft(): Promise<number> {
  process.stdin.once('end', () => process.exit());
  process.stdin.resume();
  await makeFailures(Number.POSITIVE_INFINITY);
  return 0;
}

async function showFailures(): Promise<number> {
  const [missing] = missingCommands(['ip']);
  if (missing)
    throw new UsageError(
      `demo makes failures with ${missing}, of the package iproute2, which is missing; without root it shows a recording of them`,
    );
  const failures = spawn(itself(), ['demo', '--failures'], {
    // Nothing but the live screen writes to a terminal.
    stdio: ['pipe', 'ignore', process.stdout.isTTY ? 'ignore' : 'inherit'],
    // Its own group: it ends when we do, and not by Ctrl-C.
    detached: true,
  });
  const over = once(failures, 'exit');
  try {
    return await shown(process.stdout.isTTY ? ['top'] : ['trace', '--for', SHOWN_FOR]);
  } finally {
    failures.stdin.destroy();
    await over;
  }
}

function showRecording(): Promise<number> {
  process.stderr.write(
    'Without root nothing can be watched: this is a recording. For the real thing: sudo tcpwhy demo\n',
  );
  const recording = builtFile('demo.tcpwhy');
  return shown(process.stdout.isTTY ? ['top', '--from', recording] : ['replay', recording]);
}

/** Findings are what a demo is for: status 1 is none of its failures. */
async function shown(args: string[]): Promise<number> {
  const child = spawn(itself(), args, { stdio: 'inherit' });
  const [status] = await once(child, 'exit');
  return status === 1 ? 0 : (status ?? 2);
}
