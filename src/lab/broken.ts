// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../tcp/endpoint.ts';
import { awaitReset, connect, localOf, type Pair } from './connections.ts';
import type { Lab } from './lab.ts';
import type { Made, Options } from './scenario.ts';
import { HOSTS } from './wiring.ts';

/** Of a service above the ports of its clients, where they have those of `clientsBelow`. */
export const HIGH_PORT = 50_123;

export function clientsBelow(lab: Lab): void {
  lab.client.sysctl({ 'net.ipv4.ip_local_port_range': '40000 40999' });
}

/** Opens connections, lets `fail` break each at one end, and waits for the other to learn of the reset. */
export function broken(
  lab: Lab,
  options: Options,
  port: number,
  fail: (pairs: Pair[]) => void,
  {
    code = 'ECONNRESET' as 'ECONNRESET' | 'EPIPE',
    by = 'server' as 'server' | 'client',
    protocol = 0,
  } = {},
): Made {
  const pairs = connect(lab, options, port, protocol);
  const clients = pairs.map(({ client }) => localOf(client));
  fail(pairs);
  awaitReset(
    pairs.map(({ client, server }) => (by === 'server' ? client : server)),
    code,
  );
  const server = { address: HOSTS[options.family].server, port };
  return { server, clients, netns: lab[by].inode, where: endpoint(server.address, port) };
}
