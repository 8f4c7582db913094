// SPDX-License-Identifier: Apache-2.0
//
// Connects to itself, accepts and asks for names until its input ends. Says when it has begun, and at
// the end how often it was told the client's own port.

import assert from 'node:assert/strict';
import { must, POLLIN, Socket } from '../../../src/native/sockets.ts';

const ADDRESS = '127.0.0.1';
const AT_ONCE = 50;
const NAMES_EACH = 40;

let going = true;
let connections = 0;
let names = 0;
process.stdin
  .on('end', () => {
    going = false;
  })
  .resume();

const listener = Socket.open();
must(listener.bind(ADDRESS, 0));
must(listener.listen(AT_ONCE));
const { port } = must(listener.getsockname());
console.log('begun');
while (going) {
  const pairs = Array.from({ length: AT_ONCE }, connect);
  for (const { client, server } of pairs) {
    for (let time = 0; time < NAMES_EACH; time++) {
      assert.deepEqual(must(server.getpeername()), must(client.getsockname()));
      names++;
    }
    client.close();
    server.close();
  }
  connections += AT_ONCE;
  await new Promise(setImmediate);
}
console.log(`${connections} connections, ${names} names`);

function connect(): { client: Socket; server: Socket } {
  const client = Socket.open();
  client.connect(ADDRESS, port);
  assert.ok(listener.poll(POLLIN, 2000));
  return { client, server: must(listener.accept()).socket };
}
