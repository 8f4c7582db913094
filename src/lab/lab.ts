// SPDX-License-Identifier: Apache-2.0

import { constants } from 'node:os';
import { ENDING } from '../host/signals.ts';
import { Socket, type SocketOptions } from '../native/sockets.ts';
import { sweep } from './leftovers.ts';
import { Netns } from './netns.ts';
import { wire } from './wiring.ts';

/** Apart from those that the kernel chooses. */
const FIRST_PORT = 61_902;
const LAST_PORT = 65_535;
let labs = 0;

/**
 * Two private network namespaces with a cable between them, `c0` to `s0`. The server also has the
 * device `nowhere`, on which what it sends to hosts that do not exist disappears without being
 * dropped. All of it goes with the lab, which goes with the process.
 */
export class Lab {
  readonly client: Netns;
  readonly server: Netns;
  readonly #netns: Netns[] = [];
  readonly #undo: (() => void)[] = [];
  readonly #number = ++labs;
  #port = FIRST_PORT;

  private constructor() {
    sweep();
    closeWithProcess(this);
    this.client = this.netns('client');
    this.server = this.netns('server');
    try {
      wire(this.client, this.server);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  static open(): Lab {
    return new Lab();
  }

  /** Of all its namespaces. */
  get netnsInodes(): number[] {
    return this.#netns.map(({ inode }) => inode);
  }

  /** To be done when the lab closes; the last comes first. */
  defer(undo: () => void): void {
    this.#undo.push(undo);
  }

  /** One more, of a name that no other lab's has. */
  netns(label: string): Netns {
    const netns = Netns.create(`${label}${this.#number}`);
    this.#netns.push(netns);
    this.defer(() => netns.delete());
    return netns;
  }

  socket(netns: Netns, options: Omit<SocketOptions, 'netns'> = {}): Socket {
    const socket = Socket.open({ ...options, netns: netns.path });
    this.defer(() => socket.close());
    return socket;
  }

  /** Client ports that were not used in this lab yet. */
  ports(count: number): number[] {
    if (this.#port + count > LAST_PORT) this.#port = FIRST_PORT;
    return Array.from({ length: count }, () => this.#port++);
  }

  close(): void {
    const errors: unknown[] = [];
    for (let undo = this.#undo.pop(); undo; undo = this.#undo.pop()) {
      try {
        undo();
      } catch (error) {
        errors.push(error);
      }
    }
    forget(this);
    if (errors.length > 0) throw new AggregateError(errors, 'the lab was not cleaned up');
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Those of this process that are open; they are closed with it. */
const open = new Set<Lab>();

function closeWithProcess(lab: Lab): void {
  if (open.size === 0) {
    process.on('exit', closeAll);
    for (const signal of ENDING) process.on(signal, end);
  }
  open.add(lab);
}

function forget(lab: Lab): void {
  if (!open.delete(lab) || open.size > 0) return;
  process.off('exit', closeAll);
  for (const signal of ENDING) process.off(signal, end);
}

function closeAll(): void {
  for (const lab of [...open]) lab.close();
}

/** Where somebody else handles the signal too, it is theirs to end the process. */
function end(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) === 1) process.exit(128 + constants.signals[signal]);
}
