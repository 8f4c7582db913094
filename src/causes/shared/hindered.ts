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
  return {
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

function goOn(halted: string, name: string, pid?: number, tracer?: string): string {
  if (halted === 'traced')
    return `${name}: ${tracer === undefined ? 'a debugger' : inWords(tracer)} has stopped it, and it goes on when that lets it: \`grep TracerPid /proc/${pid}/status\``;
  if (halted === 'frozen')
    return `${name}: its cgroup is frozen (docker pause, or a checkpoint): \`grep . /proc/${pid}/cgroup\` It goes on after docker unpause, or with 0 in the cgroup.freeze of that cgroup (THAWED in its freezer.state, with cgroups of the first version)`;
  return `${name}: it does nothing until it gets SIGCONT: \`kill -CONT ${pid}\` Who stopped it?`;
}

const numberIn = (process: string) => process.match(/\((\d+)\)$/)?.[1] ?? 'PID';
