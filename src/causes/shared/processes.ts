// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import type { Owner, ResetSent } from '../../wire/types.gen.ts';
import { callers } from './kernel.ts';

/** A known owner, or null. */
export function ownerOf(owner: Owner | undefined): Owner | null {
  return owner && owner.pid > 0 ? owner : null;
}

/** Who closed a socket that sent a reset by that; where it was no close, whose the socket is. */
export function closedBy({ sock, running, stack }: ResetSent, known: Knowledge): Owner | null {
  return (closes(stack, known) && ownerOf(running ?? undefined)) || ownerOf(sock?.owner);
}

/** How the process ended that closed it thereby: `SIGKILL`, `exit status 1`; null: it did not end. */
export function endOfProcess(
  { process_ends, exit_status, stack }: ResetSent,
  known: Knowledge,
): string | null {
  if (process_ends === 0 || !closes(stack, known)) return null;
  return exitText(exit_status);
}

/** `SIGKILL`, `exit status 1`: as wait() tells it. */
export function exitText(exit_status: number): string {
  const signal = exit_status & 0x7f;
  return signal === 0
    ? `exit status ${exit_status >>> 8}`
    : (SIGNALS[signal] ?? `signal ${signal}`);
}

/** Only what a process does itself is its own: a timer may interrupt whatever runs. */
function closes(stack: readonly string[], known: Knowledge): boolean {
  return callers(stack, known).some((name) => CLOSING_CALLS.includes(name));
}

const CLOSING_CALLS = ['__tcp_close', '__mptcp_close', 'inet_csk_listen_stop'];

/** `its process was killed (SIGKILL)`, `its process ended (exit status 1)`. */
export function endText(process_end: string): string {
  return `its process ${endOf(process_end)}`;
}

/** `was killed (SIGKILL)`, `ended (exit status 1)`. */
export function endOf(process_end: string): string {
  return `${isKilled(process_end) ? 'was killed' : 'ended'} (${process_end})`;
}

export const isKilled = (process_end: string) => /^sig/i.test(process_end);

/** What to look at where connections are reset because their process ended. */
export function endAdvice(process_end: string, at: string): string {
  if (!isKilled(process_end))
    return `${at}: its process ended with connections open (${process_end}): why? Look in its own log, and for who stopped it: \`journalctl -e\``;
  switch (process_end) {
    case 'SIGKILL':
      return `${at}: who killed its process? The kernel for lack of memory: \`journalctl -k --grep 'Killed process'\`; or whatever stops it, after its time to stop was over`;
    case 'SIGTERM':
    case 'SIGINT':
    case 'SIGHUP':
    case 'SIGQUIT':
      return `${at}: its process was told to stop (${process_end}), and did at once: a restart, a deployment, or a terminal that was closed? Who did it: \`journalctl -e\` A service that handles the signal ends what is under way first`;
    case 'SIGPIPE':
      return `${at}: its process wrote to a connection or pipe that the other end had closed, and such a signal ends who does not expect it: let it ignore SIGPIPE (or send with MSG_NOSIGNAL), and look at EPIPE`;
    case 'SIGSYS':
      return `${at}: its process made a system call that its seccomp filter answers with its end: \`journalctl -k --grep SECCOMP\``;
    case 'SIGXCPU':
      return `${at}: its process had used up its CPU time (RLIMIT_CPU, LimitCPU= of its service)`;
    case 'SIGALRM':
      return `${at}: a timer of its process ran out (alarm()), and nothing handles that: look in its own log`;
    default:
      return `${at}: its process did not end by itself (${process_end}): \`coredumpctl list\`, and its own log`;
  }
}

/** Of every architecture but MIPS and the like. */
const SIGNALS: { [number: number]: string } = {
  1: 'SIGHUP',
  2: 'SIGINT',
  3: 'SIGQUIT',
  4: 'SIGILL',
  5: 'SIGTRAP',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  13: 'SIGPIPE',
  14: 'SIGALRM',
  15: 'SIGTERM',
  24: 'SIGXCPU',
  31: 'SIGSYS',
};
