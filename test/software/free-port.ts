// SPDX-License-Identifier: Apache-2.0

import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** One of 127.0.0.1 that nobody listens at, for what cannot choose its own. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
