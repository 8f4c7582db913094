// SPDX-License-Identifier: Apache-2.0

import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sums, TIMES } from '../../src/lab/conformance.ts';
import { awaitAll, awaitReset, dial, say } from '../../src/lab/connections.ts';
import type { Lab } from '../../src/lab/lab.ts';
import { until } from '../../src/lab/until.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { type Address, must, POLLIN, POLLOUT, type Socket } from '../../src/native/sockets.ts';
import type { Family } from '../../src/tcp/address.ts';
import { nginx } from '../software/nginx.ts';
import { hangUpAll, overflow, unread } from '../software/overflow.ts';
import { lacking, Service } from '../software/service.ts';
import { childOf, Stopped } from '../software/stopped.ts';
import { Watched } from './watched.ts';

const REQUEST = 'GET / HTTP/1.0\r\n\r\n';
const SOFTWARE = join(import.meta.dirname, '../software');
const BOTH: Family[] = [4, 6];

let watched: Watched;
beforeAll(async () => {
  watched = await Watched.start();
});
afterAll(() => watched[Symbol.asyncDispose]());

it.for(BOTH)('nginx whose worker hangs does not accept, IPv%d', async (family, { skip }) => {
  const missing = lacking('nginx');
  skip(missing !== null, missing ?? '');
  const lab = watched.lab();
  const to = { address: HOSTS[family].server, port: 80 };
  const backlog = 3;
  await using server = await nginx(lab, { port: to.port, workers: 1, backlog });
  using worker = new Stopped(childOf(server.pid, /^nginx: worker/));
  const waiting = overflow(lab, { from: lab.client, to, backlog, times: TIMES });
  worker.goOn();
  hangUpAll(lab, to, waiting);

  const findings = await watched.findings(lab, 'accept-queue-full', TIMES);
  expect(sums(findings)).toEqual({ 'accept-queue-full': TIMES });
  expect(findings[0]?.process).toMatchObject({ comm: 'nginx' });
});

it.for(BOTH)('nginx answers for an upstream that is down, IPv%d', async (family, { skip }) => {
  const missing = lacking('nginx');
  skip(missing !== null, missing ?? '');
  const lab = watched.lab();
  const to = { address: HOSTS[family].server, port: 80 };
  const host = family === 4 ? HOSTS[4].client : `[${HOSTS[6].client}]`;
  await using _nginx = await nginx(lab, {
    port: to.port,
    server: `location / { proxy_pass http://${host}:8080; }`,
  });
  for (let time = 0; time < TIMES; time++) {
    const client = request(lab, to);
    expect(answer(client)).toMatch(/^HTTP\/1\.1 502 /);
    client.close();
  }

  const findings = await watched.findings(lab, 'no-listener', TIMES);
  expect(sums(findings)).toEqual({ 'no-listener': TIMES });
  expect(findings[0]?.flow).toMatchObject({ netns: lab.client.inode });
});

it.for(BOTH)("Python's HTTP server is busy with one request, IPv%d", async (family, { skip }) => {
  const missing = lacking('python3');
  skip(missing !== null, missing ?? '');
  const lab = watched.lab();
  const to = { address: HOSTS[family].server, port: 8000 };
  const command = ['python3', join(SOFTWARE, 'busy-server.py'), to.address, String(to.port)];
  await using server = await Service.listening(lab.server, to.port, command);
  const first = request(lab, to);
  await server.until(() => server.said.includes('busy'), 'a request to be served');
  const waiting = overflow(lab, { from: lab.client, to, backlog: 5, times: TIMES });
  process.kill(server.pid, 'SIGUSR1');
  expect(answer(first)).toMatch(/^HTTP\/1\.0 204 /);
  hangUpAll(lab, to, [first, ...waiting]);

  const findings = await watched.findings(lab, 'accept-queue-full', TIMES);
  expect(sums(findings)).toEqual({ 'accept-queue-full': TIMES });
  expect(findings[0]?.process).toMatchObject({
    pid: server.pid,
    comm: expect.stringMatching(/^python3/),
  });
});

it.for([
  { how: 'destroy', sent: REQUEST, cause: 'unread-data-on-close' },
  { how: 'reset', sent: '', cause: 'linger-zero-close' },
])('Node ends connections by $how: $cause', async ({ how, sent, cause }) => {
  const lab = watched.lab();
  const to = { address: HOSTS[4].server, port: 3000 };
  const file = join(SOFTWARE, 'aborting-server.ts');
  const command = [process.execPath, file, to.address, String(to.port), how];
  await using server = await Service.listening(lab.server, to.port, command);
  const clients = dial(lab, lab.client, to, TIMES);
  awaitAll(clients, POLLOUT, 'the connect');
  say(clients, sent);
  const accepted = () => server.said.match(/accepted/g)?.length === TIMES;
  await server.until(accepted, 'the connections to be accepted');
  until('the requests to arrive', () => {
    const bytes = unread(lab.server, to);
    return bytes.length === TIMES && bytes.every((one) => one === sent.length);
  });
  process.kill(server.pid, 'SIGUSR2');
  awaitReset(clients, 'ECONNRESET');

  const findings = await watched.findings(lab, cause, TIMES);
  expect(sums(findings)).toEqual({ [cause]: TIMES });
  expect(findings[0]?.process).toMatchObject({ pid: server.pid });
});

function request(lab: Lab, to: Address): Socket {
  const clients = dial(lab, lab.client, to, 1);
  awaitAll(clients, POLLOUT, 'the connect');
  say(clients, REQUEST);
  const [client] = clients;
  if (!client) throw new Error('no connection');
  return client;
}

/** Everything until the end of the stream. */
function answer(client: Socket): string {
  let text = '';
  for (;;) {
    awaitAll([client], POLLIN, 'the answer');
    const { data } = must(client.recv(), 'recv');
    if (data.length === 0) return text;
    text += data;
  }
}
