// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Fault {
  call: string;
  error: string;
  /** Only of this file; of any, but those that Node opens to start, unless given. */
  of?: string;
  /** The loss by which it is told where it goes on. */
  told?: string;
}

const RING = 'anon_inode:[perf_event]';
const MAP = 'anon_inode:bpf-map';
/** Stands for the recording's name. */
const RECORDING = 'the recording';

/** What fails, with what the kernel may say there. */
const FAULTS: readonly Fault[] = [
  { call: 'bpf', error: 'EPERM' },
  { call: 'bpf', error: 'ENOMEM' },
  { call: 'perf_event_open', error: 'EACCES' },
  { call: 'perf_event_open', error: 'EMFILE' },
  { call: 'ioctl', error: 'ENOMEM', of: RING },
  { call: 'mmap', error: 'ENOMEM', of: RING },
  { call: 'mmap', error: 'ENOMEM', of: MAP },
  { call: 'openat', error: 'EMFILE' },
  { call: 'openat', error: 'EACCES' },
  { call: 'read', error: 'EIO', of: '/proc/kallsyms' },
  { call: 'setns', error: 'EPERM', told: 'netns_refused' },
  { call: 'pwrite64', error: 'ENOSPC', of: RECORDING },
  { call: 'pwrite64', error: 'EIO', of: RECORDING },
  { call: 'fsync', error: 'EIO', of: RECORDING },
];

const PATIENCE_S = 60;
const LOG = 'calls';

/** Each in the lab's namespace, for a moment. */
const COMMANDS: Record<string, (file: string) => string[]> = {
  trace: () => ['trace', '--json', '--for', '300ms'],
  record: (file) => ['record', '--json', '--for', '300ms', '-o', file],
};

export interface Faults {
  command: string;
  call: string;
  /** The file that it is about; any where empty. */
  of: string;
  error: string;
  /** How often the call is made by a thread that makes it, and at how many of these it was let fail. */
  calls: number;
  tried: number;
  /** How many ended with a sentence and status 2, and how many went on to their end. */
  ended: number;
  went_on: number;
  /** What none may do. */
  wrong: string[];
}

/** Lets each system call fail at up to `places` of the times that it is made after Node has started; `places` > 1. */
export function* faults(
  tcpwhy: string,
  netns: string,
  places: number,
  commands = Object.keys(COMMANDS),
): Generator<Faults> {
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-torture-'));
  try {
    const starting = callsOf(folder, [tcpwhy, '--version']);
    for (const [command, args] of Object.entries(COMMANDS)) {
      if (!commands.includes(command)) continue;
      const recording = join(folder, 'x.tcpwhy');
      const run = [tcpwhy, ...args(recording), '--netns', netns];
      const most = callsOf(folder, run);
      rmSync(recording, { force: true });
      for (const { call, error, of, told } of FAULTS) {
        if (of === RECORDING && command !== 'record') continue;
        const file = of === RECORDING ? recording : of;
        const only = file === undefined ? [] : ['-P', file];
        const first = file === undefined ? 1 + starting(call) : 1;
        const last = most(call, file);
        const result: Faults = {
          command,
          call,
          of: of ?? '',
          error,
          calls: last - first + 1,
          ...NONE,
        };
        for (const at of spread(first, last, places)) {
          const inject = [...only, '-e', `inject=${call}:error=${error}:when=${at}`];
          const outcome = outcomeOf(strace(folder, call, inject, run), run, recording, told);
          result.tried++;
          if (outcome === 'ended') result.ended++;
          else if (outcome === 'went on') result.went_on++;
          else
            result.wrong = [...result.wrong, `${command}, ${call} ${error} at ${at}: ${outcome}`];
          rmSync(recording, { force: true });
        }
        yield result;
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const NONE = { tried: 0, ended: 0, went_on: 0, wrong: [] };

/** Up to so many numbers from `from` to `to`, the first and the last among them. */
export function spread(from: number, to: number, count: number): number[] {
  const all = to - from + 1;
  if (all <= count) return Array.from({ length: Math.max(0, all) }, (_, i) => from + i);
  return Array.from({ length: count }, (_, i) => from + Math.round((i * (all - 1)) / (count - 1)));
}

/** The most calls that one thread makes, of any file or of one: strace counts each thread's own. */
function callsOf(folder: string, command: string[]): (call: string, of?: string) => number {
  strace(folder, [...new Set(FAULTS.map(({ call }) => call))].join(), ['-ff', '-y'], command);
  const logs = readdirSync(folder).filter((name) => name.startsWith(`${LOG}.`));
  const threads = logs.map((name) => readFileSync(join(folder, name), 'utf8').split('\n'));
  for (const name of logs) rmSync(join(folder, name));
  const isMeant = (line: string, call: string, of?: string) =>
    line.startsWith(`${call}(`) && (of === undefined || line.includes(`<${of}>`));
  return (call, of) =>
    Math.max(0, ...threads.map((lines) => lines.filter((line) => isMeant(line, call, of)).length));
}

function strace(folder: string, call: string, options: string[], command: string[]) {
  const log = ['-o', join(folder, LOG), '-e', `trace=${call}`];
  return spawnSync('strace', ['-f', '--seccomp-bpf', '-qq', ...log, ...options, ...command], {
    encoding: 'utf8',
    timeout: PATIENCE_S * 1000,
    killSignal: 'SIGKILL',
    maxBuffer: 1 << 28,
  });
}

function outcomeOf(
  { status, signal, stdout, stderr }: ReturnType<typeof strace>,
  [tcpwhy = '']: string[],
  recording: string,
  told: string | undefined,
): string {
  if (signal) return `did not end in ${PATIENCE_S} s`;
  if (status === null || status > 2) return `status ${status}: ${lastLine(stderr)}`;
  if (/\n\s+at /.test(stderr)) return `a stack trace: ${stderr.slice(0, 300)}`;
  if (status === 2 && !/^tcpwhy: ./m.test(stderr)) return 'status 2 without a word';
  if (status < 2 && !/^\{"type":"summary"/m.test(stdout)) return `status ${status}, no verdict`;
  if (status < 2 && told !== undefined && !stdout.includes(`{"type":"loss","name":"${told}"`))
    return `went on and did not say so: no loss ${told}`;
  if (status < 2 && existsSync(recording)) {
    const told = spawnSync(tcpwhy, ['replay', recording, '--json'], { encoding: 'utf8' });
    if (told.status !== status) return `its recording cannot be read: ${lastLine(told.stderr)}`;
  }
  return status === 2 ? 'ended' : 'went on';
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
