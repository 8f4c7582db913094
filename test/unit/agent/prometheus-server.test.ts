// SPDX-License-Identifier: Apache-2.0

import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { servePrometheus } from '../../../src/agent/prometheus.ts';

test('who asks and never reads has no place for ever', { timeout: 60_000 }, async () => {
  const description = 'x'.repeat(8000);
  const points = [{ attributes: {}, value: 1 }];
  const metric = { name: 'tcpwhy.x', kind: 'gauge', unit: '1', description, points } as const;
  const server = await servePrometheus('127.0.0.1', 0, () => [{ ...metric }]);
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => {});
  const [socket] = (await once(server, 'connection')) as [Socket];
  // Whole requests, so that none is waited for; their answers are more than the kernel holds.
  client.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1500));
  await once(socket, 'close');
  expect(socket.bytesWritten).toBeGreaterThan(0);
  client.destroy();
  server.close();
});
