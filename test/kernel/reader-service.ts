// SPDX-License-Identifier: Apache-2.0

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { createInterface } from 'node:readline';
import { connectToRoot } from '../../src/native/binding.ts';
import { ROOT, TCPWHY } from './tcpwhy.ts';

const FOLDER = '/run/tcpwhy';
export const SOCKET = `${FOLDER}/reader.sock`;

/** Nobody that this host knows: who runs the reader, who may watch by it, and the group of those. */
export const READER = 61_234;
export const GROUP = 61_235;
export const USER = 54_321;

const UNIT = readFileSync(`${ROOT}tools/dist/systemd/tcpwhy@.service`, 'utf8');

/** What the unit says, each time. */
function unitSays(key: string): string[] {
  return [...UNIT.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value);
}

/** As `setpriv` calls them. */
function unitCapabilities(): string[] {
  const names = unitSays('AmbientCapabilities').join(' ').toLowerCase().split(' ');
  return names.map((name) => name.replace('cap_', ''));
}

/** Of each set of `setpriv` these capabilities and no others. */
export function withCapabilities(...names: string[]): string[] {
  return ['bounding-set', 'inh-caps', 'ambient-caps'].map((set) => `--${set}=${only(names)}`);
}

const only = (names: string[]) => ['-all', ...names.map((name) => `+${name}`)].join();

/**
 * A line for a shell that opens what systemd opens for a service, and runs one. Tracefs is mounted wherever
 * systemd runs.
 */
function begins(): string {
  const events = '/sys/kernel/tracing';
  const [stdin = ''] = unitSays('StandardInput').map((from) => from.replace('file:', ''));
  const others = unitSays('OpenFile').map((file) => file.split(':')[0] ?? '');
  return [
    `[ -d ${events}/events ] || mount -t tracefs tracefs ${events}`,
    ...others.map((file, i) => `[ ! -r ${file} ] || exec ${AFTER_SOCKET + i}<${file}`),
    `exec "$@" <${stdin}`,
  ].join('; ');
}

/** The first descriptor after that of the connection. */
const AFTER_SOCKET = 4;

/** Runs a command as a plain user, who is in these groups only. */
export const as = (uid: number, ...groups: number[]) => [
  'setpriv',
  `--reuid=${uid}`,
  `--regid=${uid}`,
  groups.length > 0 ? `--groups=${groups.join()}` : '--clear-groups',
];

/** Why it cannot be tried here; null where it can. */
export function noService(): string | null {
  try {
    closeSync(connectToRoot(SOCKET));
    return `a service runs that listens at ${SOCKET}`;
  } catch {
    // Of a run that was killed.
    rmSync(FOLDER, { recursive: true, force: true });
  }
  return existsSync('/usr/bin/systemd-socket-activate') ? null : 'no systemd-socket-activate';
}

/**
 * tcpwhy.socket and tcpwhy@.service without the rest of systemd: its own program that accepts connections, and
 * of the unit the user, the capabilities, what is opened, and no new privileges.
 */
export class ReaderService {
  readonly #child: ChildProcess;

  private constructor() {
    mkdirSync(FOLDER);
    const reader = [
      ...as(READER),
      ...withCapabilities(...unitCapabilities()),
      '--no-new-privs',
      TCPWHY,
      'reader',
    ];
    this.#child = spawn(
      '/usr/bin/systemd-socket-activate',
      ['--accept', '-l', SOCKET, 'unshare', '--mount', 'sh', '-c', begins(), 'sh', ...reader],
      { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: process.env.PATH } },
    );
  }

  static async start(): Promise<ReaderService> {
    const service = new ReaderService();
    const { stderr } = service.#child;
    if (!stderr) throw new Error('no pipe');
    const lines = createInterface({ input: stderr });
    for (;;) {
      const [line] = await once(lines, 'line');
      if (line.startsWith('Listening on')) break;
    }
    chownSync(SOCKET, 0, GROUP);
    chmodSync(SOCKET, 0o660);
    return service;
  }

  /** Processes of the readers that there are. */
  get readers(): number[] {
    const { pid } = this.#child;
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill();
    await ended;
    rmSync(FOLDER, { recursive: true });
  }
}
