// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
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
import { cgroup2Root } from '../../src/host/cgroup.ts';

/** What a container has of this host: its programs. */
const SHARED = ['/usr', '/bin', '/lib', '/lib64'].filter((path) => existsSync(path));

let containers = 0;

/** A container of runc, made but not begun, in a network namespace that there is. */
export class Container {
  readonly name = `tcpwhy-${process.pid}-${++containers}`;
  readonly pid: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'tcpwhy-container-'));
  readonly #cgroup: string;
  readonly #made: string[];

  /** `cgroup` is the path that its runtime would give it. */
  constructor(netns: string, cgroup: string, args: string[]) {
    this.#cgroup = cgroup;
    this.#made = cgroupRoots().flatMap((root) => missingParents(root, cgroup));
    for (const path of SHARED) mkdirSync(join(this.#folder, 'rootfs', path), { recursive: true });
    this.#runc('spec');
    const config = join(this.#folder, 'config.json');
    const spec = JSON.parse(readFileSync(config, 'utf8'));
    spec.process = { ...spec.process, terminal: false, args };
    spec.mounts.push(
      ...SHARED.map((path) => ({
        ...{ destination: path, source: path, type: 'bind', options: ['rbind', 'ro'] },
      })),
    );
    spec.linux.cgroupsPath = cgroup;
    spec.linux.namespaces = [
      ...spec.linux.namespaces.filter(({ type }: { type: string }) => type !== 'network'),
      { type: 'network', path: netns },
    ];
    writeFileSync(config, JSON.stringify(spec));
    this.#runc('create', '--pid-file', 'pid', this.name);
    this.pid = Number(readFileSync(join(this.#folder, 'pid'), 'utf8'));
  }

  start(): void {
    this.#runc('start', this.name);
  }

  /** As on a host whose runtime knows the first version of cgroups only; false where there is none of that. */
  leaveCgroup2(): boolean {
    const root = cgroup2Root();
    if (root === null || cgroupRoots().length === 1) return false;
    writeFileSync(join(root, 'cgroup.procs'), String(this.pid));
    return true;
  }

  #runc(...args: string[]): void {
    // What it began holds the descriptors that it was given.
    execFileSync('runc', args, { cwd: this.#folder, stdio: 'ignore' });
  }

  [Symbol.dispose](): void {
    try {
      this.#runc('delete', '--force', this.name);
    } finally {
      for (const root of cgroupRoots()) removeEmpty(join(root, this.#cgroup));
      for (const path of this.#made) removeEmpty(path);
      rmSync(this.#folder, { recursive: true });
    }
  }
}

/** Where each hierarchy is mounted. */
export function cgroupRoots(): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
    .map(([, place = '']) => place);
}

/** The innermost first. */
export function missingParents(root: string, cgroup: string): string[] {
  const levels = cgroup.split('/').filter((level) => level !== '');
  return levels
    .slice(0, -1)
    .map((_, up) => join(root, ...levels.slice(0, levels.length - 1 - up)))
    .filter((path) => !existsSync(path));
}

/** Where it is still there, and empty. */
export function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // Gone with the container, or somebody else's too.
  }
}
