// SPDX-License-Identifier: Apache-2.0
//
// node check.ts BUILT: what `check` runs in a virtual machine. BUILT is where `build` builds.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { awaitAll, dialFrom } from '../../../src/lab/connections.ts';
import { Lab } from '../../../src/lab/lab.ts';
import { HOSTS } from '../../../src/lab/wiring.ts';
import { type Address, must, POLLIN, POLLOUT, type Socket } from '../../../src/native/sockets.ts';
import { balance, KINDS, load, sendOption, setKind, unload, unloadInUse } from './toa.ts';

const PORT = 8080;
const IPV6_PORT = 8081;
const { client: CLIENT, server: SERVER, balancer: BALANCER } = HOSTS[4];
const built = process.argv[2] ?? '';

using lab = Lab.open();
balance(lab);
const plain = listen(4, SERVER, PORT);
load(built);
check('without the option the balancer is shown', connect(plain, PORT), BALANCER);
sendOption(lab, built);
for (const kind of KINDS) {
  setKind(kind);
  check(`option ${kind}: the client is shown`, connect(plain, PORT), CLIENT);
}
setKind(99);
check('option 99: the balancer is shown', connect(plain, PORT), BALANCER);
setKind(KINDS[0]);

const both = listen(6, '::', IPV6_PORT);
const kept = connect(both, IPV6_PORT);
check('over an IPv6 socket: the client is shown', kept, `::ffff:${CLIENT}`);

const owners = readFileSync('/proc/kallsyms', 'utf8').match(/ inet6?_getname_toa\t\[toa\]/g) ?? [];
assert.equal(owners.length, 2);
unload();
assert.equal(must(kept.server.getpeername()).address, `::ffff:${BALANCER}`);
console.log('ok: unloaded, the balancer is shown again');
console.log(`ok: ${await unloadInUse(built)}`);

interface Connection {
  /** What the client dialled from. */
  from: Address;
  server: Socket;
  /** What accept() told. */
  accepted: Address | null;
}

function listen(family: 4 | 6, address: string, port: number): Socket {
  const listener = lab.socket(lab.server, { family });
  must(listener.bind(address, port), 'bind');
  must(listener.listen(8), 'listen');
  return listener;
}

function connect(listener: Socket, port: number): Connection {
  const from = { address: CLIENT, port: lab.ports(1)[0] ?? 0 };
  const client = dialFrom(lab, from, { address: SERVER, port });
  awaitAll([listener], POLLIN, 'a connection');
  awaitAll([client], POLLOUT, 'the connect');
  const { socket: server, peer: accepted } = must(listener.accept());
  lab.defer(() => server.close());
  return { from, server, accepted };
}

function check(what: string, { from, server, accepted }: Connection, shown: string): void {
  const peer = { address: shown, port: from.port };
  assert.deepEqual(accepted, peer, what);
  assert.deepEqual(must(server.getpeername()), peer, what);
  console.log(`ok: ${what}: ${shown}:${from.port}`);
}
