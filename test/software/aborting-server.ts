// SPDX-License-Identifier: Apache-2.0
//
// node test/software/aborting-server.ts ADDRESS PORT destroy|reset
//
// Says of each connection that it was accepted, reads nothing, and ends them all at SIGUSR2.

import { createServer, type Socket } from 'node:net';

const [address, port, how] = process.argv.slice(2);
const accepted: Socket[] = [];

process.on('SIGUSR2', () => {
  for (const socket of accepted) {
    if (how === 'reset') socket.resetAndDestroy();
    else socket.destroy();
  }
});
createServer({ pauseOnConnect: true }, (socket) => {
  accepted.push(socket);
  console.log('accepted');
}).listen(Number(port), address);
