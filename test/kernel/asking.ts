// SPDX-License-Identifier: Apache-2.0

import { readFileSync, writeSync } from 'node:fs';
import { maxDrained } from '../../src/native/binding.ts';
import { readAnswer, writeRequest } from '../../src/source/border.ts';

/** What a request may have in it, for one that is made up: of the calls one is none. */
export const NAMES = ['call', 'last', 'part', 'netns', 'why', 'losses', 'options'];
export const CALLS = [
  ...['open', 'begin', 'beginParts', 'tick', 'again', 'headerOf', 'footer'],
  ...['acceptQueues', 'means', 'x'],
];

/** Whoever talks to a reader, and may send it what a front never does. */
export class Asking {
  readonly #to: number;
  readonly #from: number;
  readonly #room = Buffer.alloc(maxDrained());

  /** Descriptors; a socket is both. */
  constructor(to: number, from = to) {
    this.#to = to;
    this.#from = from;
  }

  ask(request: object) {
    writeRequest(this.#to, request as Parameters<typeof writeRequest>[1]);
    const answer = readAnswer(this.#from, this.#room, () => {});
    if (!answer) throw new Error('the reader is gone');
    return answer;
  }

  say(bytes: Uint8Array): void {
    writeSync(this.#to, bytes);
  }
}

/** Lines of /proc/PID/status by their names; empty where there is no such line. */
export function statusOf(pid: number, ...names: string[]): string[] {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return names.map((name) => text.match(new RegExp(`^${name}:\\s*(.*)$`, 'm'))?.[1]?.trim() ?? '');
}
