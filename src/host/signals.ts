// SPDX-License-Identifier: Apache-2.0

import { constants } from 'node:os';

/** What ends a command; but not what the one who started it has it ignore, as nohup does. */
export const ENDING: readonly NodeJS.Signals[] = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).filter(
  (signal) => signal !== 'SIGHUP' || !isIgnored(signal, process.env.TCPWHY_SIGIGN ?? ''),
);

/** Node gives every signal its default when it starts: the launcher says which ones were ignored. */
export function keepIgnored(): void {
  if (!ENDING.includes('SIGHUP')) process.on('SIGHUP', () => {});
}

/** `mask` as SigIgn of /proc/PID/status has it, in hexadecimal. */
export function isIgnored(signal: NodeJS.Signals, mask: string): boolean {
  if (!/^[0-9a-f]{1,16}$/.test(mask)) return false;
  return ((BigInt(`0x${mask}`) >> BigInt(constants.signals[signal] - 1)) & 1n) === 1n;
}
