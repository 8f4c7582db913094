// SPDX-License-Identifier: Apache-2.0

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { watched } from './watched.ts';

const PATIENCE_S = 60;

interface Surrounding {
  what: string;
  /** For the shell: $T is tcpwhy with its namespace behind it, $D a folder of its own. */
  command: string;
  /** 0: it watches all the same. */
  status: 0 | 2;
  says: RegExp;
}

const WATCHES = /^watching; /m;
const TRACE = '$T trace --for 1s $N';
const record = (file: string, time = '1s') => `$T record --for ${time} -o ${file} $N`;
/** Removes what is being written once it is there. */
const removing = (what: string) =>
  `${record('$D/f/x', '20s')} & p=$!; while [ ! -s $D/f/x ]; do sleep 0.1; done; rm -r ${what}; wait $p`;

/** What a process may have too little of, and an output that cannot be written. */
const SURROUNDINGS: readonly Surrounding[] = [
  ...[
    ['20 open files', 'ulimit -n 20'],
    ['64 open files', 'ulimit -n 64'],
    ['1 GiB of addresses', 'ulimit -v 1048576'],
    ['1.7 GiB of addresses', 'ulimit -v 1782579'],
  ].map(
    ([what = '', limit]): Surrounding => ({
      what,
      command: `${limit}; exec ${TRACE}`,
      status: 2,
      says: /too little to (run|watch the kernel) with: .* Raise the limit/,
    }),
  ),
  {
    what: 'a control group with 64 MiB',
    command: `echo $$ >$C/cgroup.procs; exec ${TRACE}`,
    status: 2,
    says: /may have 64 MiB of memory/,
  },
  {
    what: 'no locked memory',
    command: `ulimit -l 0; exec ${TRACE}`,
    status: 0,
    says: WATCHES,
  },
  {
    what: 'a kernel without BPF',
    command: `exec strace -f --seccomp-bpf -qq -o /dev/null -e trace=bpf -e inject=bpf:error=ENOSYS ${TRACE}`,
    status: 2,
    says: /this kernel has no BPF/,
  },
  {
    what: 'a PID namespace',
    command: `exec unshare --pid --fork --mount-proc ${TRACE}`,
    status: 0,
    says: /^tcpwhy runs in a PID namespace/m,
  },
  {
    what: 'a plain user',
    command: `exec setpriv --reuid=65534 --regid=65534 --clear-groups ${TRACE}`,
    status: 2,
    says: /not permitted to watch the kernel/,
  },
  {
    what: 'stdout on a full device',
    command: `exec ${TRACE} >/dev/full`,
    status: 2,
    says: /cannot write to stdout: ENOSPC/,
  },
  {
    what: 'a recording on a full disk',
    command: `exec unshare -m sh -c 'mount -t tmpfs -o size=4k none $D; echo >$D/full; exec ${record('$D/x')}'`,
    status: 2,
    says: /cannot write .*ENOSPC/,
  },
  {
    what: 'a recording longer than files may be',
    command: `ulimit -f 8; exec ${record('$D/x')}`,
    status: 2,
    says: /cannot write .*EFBIG/,
  },
  {
    what: 'a recording that is a pipe which nobody reads',
    command: `mkfifo $D/pipe; exec ${record('$D/pipe')}`,
    status: 2,
    says: /nobody reads this pipe/,
  },
  {
    what: 'a recording that is removed meanwhile',
    command: removing('$D/f/x'),
    status: 2,
    says: /was deleted while it was written/,
  },
  {
    what: 'its folder removed meanwhile',
    command: removing('$D/f'),
    status: 2,
    says: /was deleted while it was written/,
  },
];

export interface Surrounded {
  what: string;
  status: number | null;
  said: string;
  seconds: number;
  /** Empty: as it should be. */
  wrong: string;
}

export async function* surroundings(tcpwhy: string, netns: string): AsyncGenerator<Surrounded> {
  for (const { what, command, status: expected, says } of SURROUNDINGS) {
    const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-torture-'));
    mkdirSync(join(folder, 'f'));
    using cgroup = command.includes('$C') ? smallCgroup() : null;
    if (command.includes('$C') && cgroup === null) {
      rmSync(folder, { recursive: true });
      yield { what, status: null, said: 'not tried: none can be made here', seconds: 0, wrong: '' };
      continue;
    }
    const places = { T: tcpwhy, N: `--netns ${netns}`, D: folder, C: cgroup?.folder ?? '' };
    const line = command.replace(/\$([TNDC])\b/g, (_, name: keyof typeof places) => places[name]);
    const { status, stderr, seconds } = await watched(line, PATIENCE_S);
    rmSync(folder, { recursive: true });
    const wrong = [
      ...(status === expected ? [] : [`status ${status} in place of ${expected}`]),
      ...(says.test(stderr) ? [] : [`said: ${stderr.slice(-200)}`]),
      ...(/\n\s+at /.test(stderr) ? ['a stack trace'] : []),
    ].join(', ');
    const said = stderr.split('\n').find((line) => says.test(line)) ?? '';
    yield { what, status, said: said.replaceAll(folder, '…'), seconds, wrong };
  }
}

const SMALL_BYTES = 64 << 20;

/** One of its own with 64 MiB, of either version; null where none can be made. */
function smallCgroup(): { folder: string; [Symbol.dispose](): void } | null {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  for (const [, root = '', type, options = ''] of mounts.map((line) => line.split(' '))) {
    const first = type === 'cgroup' && options.split(',').includes('memory');
    if (!first && type !== 'cgroup2') continue;
    const folder = join(root, `tcpwhy-torture-${process.pid}`);
    try {
      mkdirSync(folder);
      const limit = join(folder, first ? 'memory.limit_in_bytes' : 'memory.max');
      if (existsSync(limit)) {
        writeFileSync(limit, String(SMALL_BYTES));
        return { folder, [Symbol.dispose]: () => rmdirSync(folder) };
      }
      rmdirSync(folder);
    } catch {
      // It lies under another mount, is read-only, or not ours to make.
    }
  }
  return null;
}
