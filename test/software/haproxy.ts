// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lab } from '../../src/lab/lab.ts';
import type { Address } from '../../src/native/sockets.ts';
import { Service } from './service.ts';

/** haproxy in the lab's server namespace: what comes is passed on, byte by byte. */
export async function haproxy(lab: Lab, from: Address, to: Address): Promise<Service> {
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-haproxy-'));
  lab.defer(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'haproxy.cfg');
  writeFileSync(
    file,
    `
    defaults
      mode tcp
      retries 0
      timeout connect 1s
      timeout client 5s
      timeout server 5s
    listen sidecar
      bind ${written(from)}
      server application ${written(to)}
\n`,
  );
  return Service.listening(lab.server, from.port, ['haproxy', '-db', '-f', file]);
}

function written({ address, port }: Address): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
