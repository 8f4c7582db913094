// SPDX-License-Identifier: Apache-2.0
//
// The program that is root, of its own so that it has nothing that it does not need: the other half of whatever
// watches where that is not root.

import { failureText } from './app/failure.ts';
import { serve } from './source/serve.ts';

// Nothing depends on stderr.
process.stderr.on('error', () => {});
try {
  serve();
} catch (error) {
  process.stderr.write(`tcpwhy: ${failureText(error)}\n`);
  process.exitCode = 2;
}
