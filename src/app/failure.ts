// SPDX-License-Identifier: Apache-2.0

import { constants } from 'node:os';
import { printable } from '../sinks/printable.ts';
import { ReaderGone } from '../source/reader-gone.ts';
import { UsageError } from './usage.ts';

/** What helps where the system refuses something, by the error's code. */
const HELP: Readonly<Record<string, string>> = {
  EACCES: 'Run it as root, or as one who may do that.',
  EDQUOT: 'Free some space, or write elsewhere.',
  EMFILE: 'Raise the limit of open files: ulimit -n.',
  ENFILE: 'This system has too many files open: raise fs.file-max.',
  ENOMEM: 'Raise the memory limits: ulimit -v and -l, and that of its control group.',
  ENOSPC: 'Free some space, or write elsewhere.',
  EPERM: 'Run it as root, or as one who may do that.',
};

/**
 * What ended a command, for a person: what the system refused in one sentence, a fault of tcpwhy with its place. Names of
 * files are in it, which may be strangers'.
 */
export function failureText(error: unknown): string {
  return textOf(error).split('\n').map(printable).join('\n');
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof UsageError || error instanceof ReaderGone) return error.message;
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined || !(code in constants.errno))
    return `a fault of tcpwhy itself; please report it with this:\n${error.stack ?? error.message}`;
  const help = HELP[code];
  return `the system refused something: ${error.message}${help === undefined ? '' : `\n  ${help}`}`;
}
