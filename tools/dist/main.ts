// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/dist/main.ts LLVM MACHINE BUILT FOLDER OUT
//
// Makes the one file for that machine of what make put into BUILT (BPF objects) and FOLDER (node,
// tcpwhy.node), with that release of LLVM.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundle } from '../bundle.ts';
import { GIVEN_AT, oneFile, START_AT } from './elf.ts';

/**
 * SIGUSR1 would open a port for debuggers. A heap that grows by less before its garbage is taken away, and leaves fewer
 * gaps: 30 to 100 MiB less, for a tenth more time where there is much to read. Threads that compact at once take pages
 * each: 7 to 15 MiB.
 */
const ALWAYS = ['--disable-sigusr1', '--heap-growing-percent=30', '--no-parallel-compaction'];
const TO_WATCH = ['--max-semi-space-size=2', '--optimize-for-size'];
/** Larger halves of the young generation are no faster, nor are pages that are kept for later: 20 MiB. */
const TO_READ = ['--max-semi-space-size=8', '--no-memory-pool'];
const OBJECTS = ['tcpwhy.bpf.o', 'getpeername.bpf.o', 'dropping.bpf.o', 'security.bpf.o'];

const [llvm = '', machine = '', built = '', folder = '', out = ''] = process.argv.slice(2);
const inFolder = (name: string) => join(folder, name);
const file = (name: string, path: string) => ({ name, bytes: readFileSync(path) });

writeFileSync(inFolder('meta.json'), JSON.stringify(await bundle(folder, false)));
writeFileSync(
  out,
  oneFile({
    node: readFileSync(inFolder('node')),
    start: start(),
    blobs: {
      reader: blob('tcpwhy-reader.js', TO_WATCH),
      watching: blob('tcpwhy.js', TO_WATCH),
      other: blob('tcpwhy.js', TO_READ),
    },
    files: [
      file('tcpwhy.node', inFolder('tcpwhy.node')),
      ...OBJECTS.map((name) => file(name, join(built, name))),
      file('demo.tcpwhy', 'test/recordings/demo.tcpwhy'),
    ],
  }),
  { mode: 0o755 },
);

/** start.c as it lies in memory, at a place of its own and without a library. */
function start(): Uint8Array {
  const alone =
    '-ffreestanding -fno-builtin -nostdlib -static -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables';
  const here = machine === (process.arch === 'arm64' ? 'aarch64' : 'x86_64');
  execFileSync(
    `clang-${llvm}`,
    [
      ...`-O2 -Wall -Wextra -Werror ${alone} -Wl,--build-id=none`.split(' '),
      ...(machine === 'x86_64'
        ? ['-mno-sse', '-fcf-protection=none']
        : ['-mgeneral-regs-only', '-mno-outline-atomics']),
      ...(here ? [] : crossing()),
      ...[`-DGIVEN_AT=${GIVEN_AT}`, `-Wl,--defsym=START_AT=${START_AT}`],
      ...['-Wl,-T,tools/dist/start.ld', 'tools/dist/start.c', '-o', inFolder('start.elf')],
    ],
    { stdio: 'inherit' },
  );
  execFileSync(`llvm-objcopy-${llvm}`, ['-O', 'binary', inFolder('start.elf'), inFolder('start')]);
  return readFileSync(inFolder('start'));
}

/** For another machine: where Debian has the headers of its libc, and a linker that knows it. */
function crossing(): string[] {
  const target = `${machine}-linux-gnu`;
  return [
    ...[`--target=${target}`, '-isystem', `/usr/${target}/include`, `--ld-path=ld.lld-${llvm}`],
  ];
}

/** A program, as Node looks for it in its own executable, and the options that Node has then. */
function blob(main: string, options: string[]): Uint8Array {
  // Relative paths, because they stand in the blob.
  const config = {
    main,
    mainFormat: 'module',
    output: 'blob',
    disableExperimentalSEAWarning: true,
    execArgv: [...ALWAYS, ...options],
    // Neither the environment nor the command line gives more of them.
    execArgvExtension: 'none',
  };
  writeFileSync(inFolder('sea.json'), JSON.stringify(config));
  execFileSync(process.execPath, ['--experimental-sea-config', 'sea.json'], {
    cwd: folder,
    stdio: 'pipe',
  });
  return readFileSync(inFolder('blob'));
}
