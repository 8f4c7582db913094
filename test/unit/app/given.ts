// SPDX-License-Identifier: Apache-2.0

import { Command } from 'commander';
import { addFlags, type Flags, type Values } from '../../../src/app/declare.ts';

/** What a command with these flags gets of a command line. */
export function given<F extends Flags>(flags: F, ...args: string[]): Values<F> {
  const command = new Command('test').exitOverride().configureOutput({ writeErr: () => {} });
  const values = addFlags(command, flags);
  command.parse(args, { from: 'user' });
  return values();
}
