// SPDX-License-Identifier: Apache-2.0

import { constants } from 'node:os';
import { Socket, type SocketOptions } from '../native/sockets.ts';
import { Netns, run, sweepNetns } from './netns.ts';

export type Family = 4 | 6;

/** Hosts of the lab. Those of `nowhere` exist only as segments made by hand. */
export const HOSTS = {
  4: { client: '10.4.26.45', server: '10.4.26.11', vip: '10.4.26.234', balancer: '10.141.16.7', nowhere: '172.16.0.13' },
  6: { client: '2001:db8:26::45', server: '2001:db8:26::11', vip: '2001:db8:26::234', balancer: '2001:db8:16::7', nowhere: '2001:db8:13::13' },
} as const;

export const MAC = { client: '02:00:00:00:00:45', server: '02:00:00:00:00:11' } as const;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
let labs = 0;

/**
 * Two private network namespaces with a cable between them, `c0` to `s0`. The server also has the
 * device `nowhere`, on which what it sends to hosts that do not exist disappears without being
 * dropped. All of it goes with the lab, which goes with the process.
 */
export class Lab {
  readonly client: Netns;
  readonly server: Netns;
  readonly #undo: (() => void)[] = [];

  private constructor() {
    sweepNetns();
    this.#closeWithProcess();
    const number = ++labs;
    this.client = this.netns(`client${number}`);
    this.server = this.netns(`server${number}`);
    try {
      cable(this.client, this.server);
      nowhere(this.server);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  static open(): Lab {
    return new Lab();
  }

  get netnsInodes(): number[] {
    return [this.client.inode, this.server.inode];
  }

  /** To be done when the lab closes; the last comes first. */
  defer(undo: () => void): void {
    this.#undo.push(undo);
  }

  netns(label: string): Netns {
    const netns = Netns.create(label);
    this.defer(() => netns.delete());
    return netns;
  }

  socket(netns: Netns, options: Omit<SocketOptions, 'netns'> = {}): Socket {
    const socket = Socket.open({ ...options, netns: netns.path });
    this.defer(() => socket.close());
    return socket;
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
    if (errors.length > 0) throw new AggregateError(errors, 'the lab was not cleaned up');
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Where nobody else handles a signal it ends the process, but not before the namespaces are gone. */
  #closeWithProcess(): void {
    const close = () => this.close();
    const end = (signal: NodeJS.Signals) => process.exit(128 + constants.signals[signal]);
    const unhandled = SIGNALS.filter((signal) => process.listenerCount(signal) === 0);
    process.once('exit', close);
    for (const signal of unhandled) process.once(signal, end);
    this.defer(() => {
      process.off('exit', close);
      for (const signal of unhandled) process.off(signal, end);
    });
  }
}

const { 4: ip4, 6: ip6 } = HOSTS;

function cable(client: Netns, server: Netns): void {
  for (const netns of [client, server]) {
    netns.sysctl({
      'net.ipv4.conf.all.rp_filter': 0,
      'net.ipv4.conf.default.rp_filter': 0,
      'net.ipv6.conf.default.accept_dad': 0,
    });
  }
  run('ip', [
    ...['link', 'add', 'c0', 'address', MAC.client, 'netns', client.name, 'type', 'veth'],
    ...['peer', 'name', 's0', 'address', MAC.server, 'netns', server.name],
  ]);
  client.ip(
    'link set lo up',
    'link set c0 up',
    `addr add ${ip4.client}/24 dev c0`,
    `addr add ${ip4.balancer}/32 dev c0`,
    `addr add ${ip6.client}/64 dev c0 nodad`,
    `addr add ${ip6.balancer}/128 dev c0 nodad`,
    `neigh add ${ip4.server} lladdr ${MAC.server} dev c0 nud permanent`,
    `neigh add ${ip6.server} lladdr ${MAC.server} dev c0 nud permanent`,
  );
  server.ip(
    'link set lo up',
    'link set s0 up',
    `addr add ${ip4.server}/24 dev s0`,
    `addr add ${ip6.server}/64 dev s0 nodad`,
    `neigh add ${ip4.client} lladdr ${MAC.client} dev s0 nud permanent`,
    `neigh add ${ip6.client} lladdr ${MAC.client} dev s0 nud permanent`,
    `route add ${ip4.balancer} via ${ip4.client}`,
    `route add ${ip6.balancer} via ${ip6.client}`,
  );
}

/** Either kind of device swallows what it is given to send. A kernel may have only one of them. */
function nowhere(server: Netns): void {
  try {
    server.ip('link add nowhere type dummy');
  } catch {
    server.ip('link add nowhere type ifb');
  }
  server.ip('link set nowhere up', `route add ${ip4.nowhere} dev nowhere`, `route add ${ip6.nowhere} dev nowhere`);
}
