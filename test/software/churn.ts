// SPDX-License-Identifier: Apache-2.0

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { accept, hangUp, say } from '../../src/lab/connections.ts';
import { Netns } from '../../src/lab/netns.ts';
import { must, POLLIN, Socket } from '../../src/native/sockets.ts';

const LOOPBACK = '127.0.0.1';
const PORT = 8080;
const AT_ONCE = 50;

/**
 * So many processes, each of which connects to this one and ends. Returns the port, once every
 * connection was accepted and has ended.
 */
export async function forkStorm(processes: number): Promise<number> {
  let ended = 0;
  const server = createServer((socket) => {
    socket.resume().on('close', () => {
      ended++;
      server.emit('one ended');
    });
  });
  await once(server.listen({ host: LOOPBACK, port: 0, backlog: processes }), 'listening');
  const { port } = server.address() as AddressInfo;
  const script = `
    for ((left = ${processes}; left > 0; left--)); do
      (exec 3<>/dev/tcp/${LOOPBACK}/${port}) &
      ((left % ${AT_ONCE})) || wait
    done
    wait`;
  const bash = spawn('bash', ['-c', script], { stdio: ['ignore', 'inherit', 'inherit'] });
  const [status] = await once(bash, 'exit');
  if (status !== 0) throw new Error(`the processes ended with ${status}`);
  while (ended < processes)
    await once(server, 'one ended', { signal: AbortSignal.timeout(10_000) });
  server.close();
  return port;
}

/**
 * So many network namespaces one after another, in each as many connections to itself: half of them
 * end before the namespace loses its name, the others after; `within` is done between. Returns the namespaces' inode
 * numbers.
 */
export async function netnsChurn(
  namespaces: number,
  connections: number,
  within: (netns: Netns) => void = () => undefined,
): Promise<number[]> {
  const inodes: number[] = [];
  for (let number = 0; number < namespaces; number++) {
    const netns = Netns.create(`churn${number}`);
    inodes.push(netns.inode);
    try {
      netns.ip('link set lo up');
      const pairs = connectWithin(netns, connections);
      say(
        pairs.map(({ client }) => client),
        'SELECT 1',
      );
      for (const { server } of pairs) {
        server.poll(POLLIN, 2000);
        must(server.recv(), 'recv');
      }
      hangUp(pairs.splice(0, connections / 2));
      within(netns);
      netns.delete();
      hangUp(pairs);
    } catch (error) {
      netns.delete();
      throw error;
    }
    // So that what tcpwhy prints meanwhile is read.
    await setImmediate();
  }
  return inodes;
}

function connectWithin({ path }: Netns, count: number) {
  using listener = Socket.open({ netns: path });
  must(listener.bind(LOOPBACK, PORT), 'bind');
  must(listener.listen(count), 'listen');
  const clients = Array.from({ length: count }, () => {
    const client = Socket.open({ netns: path });
    client.connect(LOOPBACK, PORT);
    return client;
  });
  return accept(listener, clients);
}
