// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { machine } from 'node:os';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('getpeername.bpf.c', import.meta.url));
const BUILD = fileURLToPath(new URL('../../build/test/', import.meta.url));

/** Compiles the program that shows a balancer's connections as the client's. */
export function compileRewriter(): string {
  const object = `${BUILD}getpeername.bpf.o`;
  mkdirSync(BUILD, { recursive: true });
  const headers = ['-idirafter', `/usr/include/${machine()}-linux-gnu`];
  const compiler = process.env.CLANG ?? 'clang-22';
  execFileSync(compiler, ['-target', 'bpf', '-g', '-O2', ...headers, '-c', SOURCE, '-o', object]);
  return object;
}
