// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endpointOf } from '../../../src/agent/endpoint.ts';
import { post } from '../../../src/agent/post.ts';
import { Receiver } from './receiver.ts';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-tls-'));
const [CERT, KEY, OTHER] = ['cert.pem', 'key.pem', 'other.pem'].map((name) =>
  join(folder, name),
) as [string, string, string];
let receiver: Receiver;

/** One that vouches for itself. */
const make = (cert: string, key: string) =>
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
      ...['-days', '2', '-keyout', key, '-out', cert],
    ],
    { stdio: 'ignore' },
  );

beforeAll(async () => {
  make(CERT, KEY);
  make(OTHER, join(folder, 'other-key.pem'));
  const pem = { cert: readFileSync(CERT), key: readFileSync(KEY) };
  // It takes only who has this certificate too.
  receiver = await Receiver.open({
    ...pem,
    ca: pem.cert,
    requestCert: true,
    rejectUnauthorized: true,
  });
});
afterAll(async () => {
  await receiver.close();
  rmSync(folder, { recursive: true });
});

const sent = async (env: Record<string, string>) => {
  const endpoint = endpointOf('logs', {
    OTEL_EXPORTER_OTLP_ENDPOINT: `https://127.0.0.1:${receiver.port}`,
    ...env,
  });
  return endpoint && post(endpoint, Buffer.from('x'));
};

const CLIENT = {
  OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: CERT,
  OTEL_EXPORTER_OTLP_CLIENT_KEY: KEY,
};

test('a collector is trusted by the certificate that is set, and is shown the client’s', async () => {
  const outcome = await sent({ OTEL_EXPORTER_OTLP_CERTIFICATE: CERT, ...CLIENT });
  expect(outcome).toMatchObject({ is: 'taken' });
  expect(receiver.requests.map(({ path }) => path)).toEqual(['/v1/logs']);
});

test('certificates that are renewed are read again, and what is not there meanwhile stays', async () => {
  const renewed = join(folder, 'renewed.pem');
  copyFileSync(OTHER, renewed);
  const endpoint = endpointOf('logs', {
    ...{ OTEL_EXPORTER_OTLP_ENDPOINT: `https://127.0.0.1:${receiver.port}`, ...CLIENT },
    OTEL_EXPORTER_OTLP_CERTIFICATE: renewed,
  });
  if (!endpoint) throw new Error('logs are sent');
  const send = () => post(endpoint, Buffer.from('x'));
  expect(await send()).toMatchObject({ is: 'failed' });
  copyFileSync(CERT, renewed);
  expect(await send()).toMatchObject({ is: 'taken' });
  rmSync(renewed);
  expect(await send()).toMatchObject({ is: 'taken' });
});

test('one that nobody vouches for is sent nothing', async () => {
  const before = receiver.requests.length;
  expect(await sent(CLIENT)).toMatchObject({
    is: 'failed',
    why: expect.stringMatching(/self-signed.*OTEL_EXPORTER_OTLP_CERTIFICATE/),
  });
  expect(receiver.requests.length).toBe(before);
});

test('so is one that speaks no TLS, and what speaks gRPC where HTTP is expected', async () => {
  // As a server of HTTP/2 begins.
  const server = createServer((socket) => socket.end(Buffer.from('000000040000000000', 'hex')));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const why = async (scheme: string) =>
    sent({ OTEL_EXPORTER_OTLP_ENDPOINT: `${scheme}://127.0.0.1:${port}` });
  expect(await why('http')).toMatchObject({
    is: 'failed',
    why: expect.stringMatching(/port 4317 is of gRPC, 4318 of HTTP/),
  });
  expect(await why('https')).toMatchObject({
    is: 'failed',
    why: expect.stringMatching(/may speak no TLS/),
  });
  server.close();
});

test('without the client’s certificate it fails, and may be tried again', async () => {
  const outcome = await sent({ OTEL_EXPORTER_OTLP_CERTIFICATE: CERT });
  expect(outcome).toMatchObject({ is: 'failed' });
});
