// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import type { Process } from '../../wire/types.gen.ts';
import { inWords } from './wording.ts';

interface Hindered {
  /** `stopped`, `traced` or `frozen`, and which process is, where that is all who might do the work. */
  halted?: string;
  halted_process?: string;
  halted_pid?: number;
  tracer?: string;
  /** A process that has as many files open as it may. */
  out_of_files?: string;
  open_files_max?: number;
  /** Where it is none of these, and one process alone might do the work: what that waits for, and how much it has. */
  waits_in?: string;
  waits_process?: string;
  open_files?: number;
}

/** What keeps these processes from their work, where that is known: evidence. */
export function hindrance(known: Knowledge, processes: readonly Process[]): Hindered {
  const states = processes.map(({ pid, comm }) => ({
    name: `${comm} (${pid})`,
    state: known.process(pid),
  }));
  const all = states.every(({ state }) => state !== null && state.halted !== '');
  const halted = all ? states[0] : undefined;
  const full = states.find(
    ({ state }) => state && state.open_files_max > 0 && state.open_files >= state.open_files_max,
  );
  const [only] = states.length === 1 && !halted && !full ? states : [];
  return {
    ...(only?.state &&
      only.state.waits_in !== '' && {
        waits_in: only.state.waits_in,
        waits_process: only.name,
        ...(only.state.open_files > 0 && { open_files: only.state.open_files }),
      }),
    ...(halted?.state && {
      halted: halted.state.halted,
      halted_process: halted.name,
      halted_pid: halted.state.pid,
      ...(halted.state.tracer !== '' && { tracer: halted.state.tracer }),
    }),
    ...(full?.state && { out_of_files: full.name, open_files_max: full.state.open_files_max }),
  };
}

/** At the end of a summary. */
export function hindranceText({ halted, tracer, out_of_files, open_files_max }: Hindered): string {
  if (halted !== undefined)
    return `: its process is ${HALTED[halted] ?? halted}${tracer === undefined ? '' : ` (${tracer})`}`;
  if (out_of_files !== undefined)
    return `: its process has all ${open_files_max} files open that it may`;
  return '';
}

const HALTED: { [how: string]: string } = {
  stopped: 'stopped (SIGSTOP, or Ctrl-Z)',
  traced: 'stopped by a debugger',
  frozen: 'frozen with its cgroup',
};

export function hindranceAdvice(hindered: Hindered): string[] {
  const {
    halted,
    halted_process = '',
    halted_pid,
    tracer,
    out_of_files,
    open_files_max,
  } = hindered;
  return [
    ...(halted === undefined ? [] : [goOn(halted, inWords(halted_process), halted_pid, tracer)]),
    ...(out_of_files === undefined
      ? []
      : [
          `${inWords(out_of_files)}: accept() fails with EMFILE (“too many open files”), and what waits stays in the queue. Raise its limit of ${open_files_max} (LimitNOFILE= of its service, ulimit -n), and see that it closes what it opens: \`ss -tanp | grep -c pid=${numberIn(out_of_files)},\``,
        ]),
  ];
}

/** What the process that does not come to it did when it was looked at; one look, of its first thread. */
export function waitsAdvice({ waits_in, waits_process = '', open_files }: Hindered): string[] {
  if (waits_in === undefined) return [];
  const [, says] = WAITS.find(([functions]) => functions.test(waits_in)) ?? [];
  const files = open_files === undefined ? '' : `, and had ${open_files} files open`;
  const what = `${inWords(waits_process)} was waiting when it was looked at (its first thread, in ${inWords(waits_in)}${files})`;
  return [
    `${what}${says === undefined ? '' : `: ${says}`}. Of all its threads: \`ps -L -o lwp,stat,wchan:32,comm -p ${numberIn(waits_process)}\``,
  ];
}

/** By the kernel's functions. */
const WAITS: readonly (readonly [RegExp, string])[] = [
  [
    /epoll|ep_poll|poll_schedule|do_select|do_sys_poll|do_poll/,
    'its event loop runs, and has nothing to do: it does not ask for this listener, as programs do not at a limit of their own (maxconn of HAProxy, worker_connections of nginx), or another thread should accept',
  ],
  [/inet_csk_accept/, 'for a connection, so it accepts: the queue is full only in bursts'],
  [
    /^(?:__)?futex/,
    'for a lock, or for another of its threads: a pool of threads that are all busy, or a deadlock',
  ],
  [/nanosleep/, 'it sleeps, for a time of its own'],
  [
    /sk_wait_data|wait_woken|tcp_recvmsg|skb_wait_for_more|unix_stream_read|pipe_read/,
    'for what somebody is to send it: one that says nothing holds up all where it serves one after the other',
  ],
  [/sk_stream_wait|sock_alloc_send|pipe_write/, 'for somebody who does not read what it writes'],
  [/^do_wait|wait4/, 'for a process that it has started'],
];

function goOn(halted: string, name: string, pid?: number, tracer?: string): string {
  if (halted === 'traced')
    return `${name}: ${tracer === undefined ? 'a debugger' : inWords(tracer)} has stopped it, and it goes on when that lets it: \`grep TracerPid /proc/${pid}/status\``;
  if (halted === 'frozen')
    return `${name}: its cgroup is frozen (docker pause, or a checkpoint): \`grep . /proc/${pid}/cgroup\` It goes on after docker unpause, or with 0 in the cgroup.freeze of that cgroup (THAWED in its freezer.state, with cgroups of the first version)`;
  return `${name}: it does nothing until it gets SIGCONT: \`kill -CONT ${pid}\` Who stopped it?`;
}

const numberIn = (process: string) => process.match(/\((\d+)\)$/)?.[1] ?? 'PID';
