// SPDX-License-Identifier: Apache-2.0
// Makes the recording anew that `tcpwhy demo` shows without root, as root.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { makeFailures } from '../src/lab/demo.ts';

const ROUNDS = 1;
const TCPWHY = fileURLToPath(new URL('../build/tcpwhy', import.meta.url));
const RECORDING = fileURLToPath(new URL('../test/recordings/demo.tcpwhy', import.meta.url));

const child = spawn(TCPWHY, ['record', '-o', RECORDING, '--force', '--json'], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
const over = once(child, 'exit');
// The first line is printed when it watches.
await once(child.stdout, 'data');
child.stdout.resume();
await makeFailures(ROUNDS);
child.kill('SIGINT');
await over;
