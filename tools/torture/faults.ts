// SPDX-License-Identifier: Apache-2.0

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';

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
const AT_ONCE = 2;
const LOG = 'calls';
const LOGS = join(tmpdir(), 'tcpwhy-torture-');

interface Command {
  args: (folder: string) => string[];
  /** What it makes there. */
  recording?: string;
  /** What it says once it watches, where it has to be ended. */
  says?: RegExp;
  /** On a terminal it is ended by q; else by SIGTERM. */
  screen?: boolean;
}

const X = 'x.tcpwhy';

/** Each in the lab's namespace, for a moment. */
const COMMANDS: Record<string, Command> = {
  trace: { args: () => ['trace', '--json', '--for', '300ms'] },
  record: {
    args: (folder) => ['record', '--json', '--for', '300ms', '-o', join(folder, X)],
    recording: X,
  },
  top: {
    args: (folder) => ['top', '-o', join(folder, X)],
    recording: X,
    says: /LIVE/,
    screen: true,
  },
  agent: {
    args: (folder) => ['agent', '--dir', folder],
    recording: 'agent.000001.tcpwhy.zst',
    says: /^tcpwhy: watching/m,
  },
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
export async function* faults(
  tcpwhy: string,
  netns: string,
  places: number,
  commands = Object.keys(COMMANDS),
): AsyncGenerator<Faults> {
  const starting = await callsOf(mkdtempSync(LOGS), { run: [tcpwhy, '--version'] });
  for (const [name, command] of Object.entries(COMMANDS)) {
    if (!commands.includes(name)) continue;
    const made = () => {
      const folder = mkdtempSync(LOGS);
      const run = [tcpwhy, ...command.args(folder), '--netns', netns];
      const recording = command.recording && join(folder, command.recording);
      return { ...command, folder, run, recording };
    };
    const first = made();
    const most = await callsOf(first.folder, first);
    for (const { call, error, of, told } of FAULTS) {
      if (of === RECORDING && !command.recording) continue;
      const from = of === undefined ? 1 + starting(call) : 1;
      const to = most(call, of === RECORDING ? first.recording : of);
      const result: Faults = {
        command: name,
        call,
        of: of ?? '',
        error,
        calls: to - from + 1,
        ...NONE,
      };
      const fail = async (at: number) => {
        const one = made();
        try {
          const file = of === RECORDING ? one.recording : of;
          const only = file === undefined ? [] : ['-P', file];
          const inject = [...only, '-e', `inject=${call}:error=${error}:when=${at}`];
          const outcome = outcomeOf(await straced(one.folder, call, inject, one), one, told);
          result.tried++;
          if (outcome === 'ended') result.ended++;
          else if (outcome === 'went on') result.went_on++;
          else result.wrong = [...result.wrong, `${name}, ${call} ${error} at ${at}: ${outcome}`];
        } finally {
          rmSync(one.folder, { recursive: true });
        }
      };
      const all = spread(from, to, places);
      // Most of the time each waits for the kernel to load and to take away its programs.
      while (all.length > 0) await Promise.all(all.splice(0, AT_ONCE).map(fail));
      yield result;
    }
  }
}

const NONE = { tried: 0, ended: 0, went_on: 0, wrong: [] };

/** Up to so many numbers from `from` to `to`, the first and the last among them. */
export function spread(from: number, to: number, count: number): number[] {
  const all = to - from + 1;
  if (all <= count) return Array.from({ length: Math.max(0, all) }, (_, i) => from + i);
  return Array.from({ length: count }, (_, i) => from + Math.round((i * (all - 1)) / (count - 1)));
}

/** The most calls that one thread makes, of any file or of one: strace counts each thread's own. `folder` goes. */
async function callsOf(
  folder: string,
  what: Pick<Run, 'run' | 'says' | 'screen'>,
): Promise<(call: string, of?: string) => number> {
  await straced(folder, [...new Set(FAULTS.map(({ call }) => call))].join(), ['-ff', '-y'], what);
  const logs = readdirSync(folder).filter((name) => name.startsWith(`${LOG}.`));
  const threads = logs.map((name) => readFileSync(join(folder, name), 'utf8').split('\n'));
  rmSync(folder, { recursive: true });
  const isMeant = (line: string, call: string, of?: string) =>
    line.startsWith(`${call}(`) && (of === undefined || line.includes(`<${of}>`));
  return (call, of) =>
    Math.max(0, ...threads.map((lines) => lines.filter((line) => isMeant(line, call, of)).length));
}

interface Run {
  run: string[];
  recording?: string | undefined;
  says?: RegExp;
  screen?: boolean;
}

interface Ended {
  status: number | null;
  /** By which it was ended where it did not end by itself. */
  signal: NodeJS.Signals | null;
  /** On a terminal both are one. */
  stdout: string;
  stderr: string;
}

async function straced(
  folder: string,
  call: string,
  options: string[],
  { run, says, screen }: Pick<Run, 'run' | 'says' | 'screen'>,
): Promise<Ended> {
  const log = ['-o', join(folder, LOG), '-e', `trace=${call}`];
  const strace = ['strace', '-f', '--seccomp-bpf', '-qq', ...log, ...options, ...run];
  const [file = '', ...args] = screen
    ? ['script', '-qec', strace.map((word) => `'${word}'`).join(' '), '/dev/null']
    : strace;
  // A group of its own, for what strace leaves behind when it is killed.
  const child = spawn(file, args, {
    detached: true,
    env: { ...process.env, TERM: 'xterm' },
  });
  child.stdin.on('error', () => {});
  let seen = '';
  const look = (bytes: Buffer) => {
    if (!says || seen === ENDED) return;
    seen += bytes;
    if (!says.test(seen)) return;
    seen = ENDED;
    if (screen) child.stdin.write('q');
    else terminate(child.pid);
  };
  child.stdout.on('data', look);
  child.stderr.on('data', look);
  const late = setTimeout(
    () => child.pid && process.kill(-child.pid, 'SIGKILL'),
    1000 * PATIENCE_S,
  );
  const closed = once(child, 'close');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [status, signal] = await closed;
  clearTimeout(late);
  return { status, signal, stdout, stderr };
}

const ENDED = 'ended';

/** What strace runs: strace itself would let go of it. */
function terminate(strace: number | undefined): void {
  const children = readFileSync(`/proc/${strace}/task/${strace}/children`, 'utf8');
  process.kill(Number(children.split(' ')[0]), 'SIGTERM');
}

function outcomeOf(
  { status, signal, stdout, stderr }: Ended,
  { run: [tcpwhy = ''], recording, says, screen }: Run,
  told: string | undefined,
): string {
  const said = screen ? stripVTControlCharacters(stdout).replaceAll('\r', '\n') : stderr;
  if (signal) return `did not end in ${PATIENCE_S} s`;
  if (status === null || status > 2) return `status ${status}: ${lastLine(said)}`;
  if (/\n\s+at /.test(said)) return `a stack trace: ${said.slice(0, 300)}`;
  if (status === 2 && !/tcpwhy: ./.test(said)) return 'status 2 without a word';
  if (status < 2 && !(says?.test(said) ?? /^\{"type":"summary"/m.test(stdout)))
    return `status ${status}, no verdict`;
  const isTold = (json: string) =>
    told === undefined || json.includes(`{"type":"loss","name":"${told}"`);
  if (status < 2 && !says && !isTold(stdout)) return `went on and did not say so: no loss ${told}`;
  if (status < 2 && recording !== undefined && existsSync(recording)) {
    const replayed = spawnSync(tcpwhy, ['replay', recording, '--json'], { encoding: 'utf8' });
    if (says ? replayed.status === 2 : replayed.status !== status)
      return `its recording cannot be read: ${lastLine(replayed.stderr)}`;
    if (!isTold(replayed.stdout)) return `its recording does not say so: no loss ${told}`;
  }
  return status === 2 ? 'ended' : 'went on';
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
