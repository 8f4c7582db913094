// SPDX-License-Identifier: Apache-2.0

import { type Address, POLLIN, POLLOUT, type Socket } from '../native/sockets.ts';
import { familyOf } from '../tcp/address.ts';
import { accept, dial, growth, hangUp, listen, localOf, queued } from './connections.ts';
import type { Lab } from './lab.ts';
import { until } from './until.ts';

export const WORKERS = 4;
/** Of so many connects a worker of four has had its share, by far. */
const MOST_DIALLED = 400;

/** Workers that share an end: the kernel spreads connections over them, and one does not accept. */
export class Workers {
  readonly stuck: Socket;
  readonly #live: Socket[];
  readonly #lab: Lab;
  readonly #server: Address;
  /** Connections in the queue of the stuck one. */
  waiting: Socket[] = [];

  constructor(lab: Lab, server: Address, backlog: number) {
    this.#lab = lab;
    this.#server = server;
    const worker = (most: number) =>
      listen(lab, familyOf(server.address), server.port, most, { reuseport: true });
    const before = worker(64);
    this.stuck = worker(backlog);
    this.#live = [before, worker(64), worker(64)];
  }

  /** Dials until it is so; returns from where it was refused meanwhile. */
  dialUntil(what: string, isSo: (refused: number) => boolean): Address[] {
    const overflows = growth(this.#lab.server, 'TcpExt', 'ListenOverflows');
    const refused: Address[] = [];
    for (let i = 0; !isSo(refused.length); i++) {
      if (i === MOST_DIALLED) throw new Error(`dialled ${i} times for ${what}`);
      const [client] = dial(this.#lab, this.#lab.client, this.#server, 1) as [Socket];
      const from = localOf(client);
      const isConnected = () => client.poll(POLLOUT, 0) !== 0;
      until('an answer, or none', () => isConnected() || overflows() > refused.length);
      if (isConnected()) {
        this.#take(client);
        continue;
      }
      refused.push(from);
      client.close();
    }
    return refused;
  }

  #take(client: Socket): void {
    let taken: Socket | undefined;
    until('a worker to have the connection', () => {
      taken = this.#live.find((worker) => worker.poll(POLLIN, 0) !== 0);
      return taken !== undefined || queued(this.stuck) > this.waiting.length;
    });
    if (taken) hangUp(accept(taken, [client]));
    else this.waiting.push(client);
  }

  /** The one that came last goes: what is kept of its end may go with it. */
  closeNewest(): void {
    this.#live.pop()?.close();
  }

  close(): void {
    for (const worker of [...this.#live, this.stuck]) worker.close();
  }
}
