// SPDX-License-Identifier: Apache-2.0

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sums } from '../../src/lab/conformance.ts';
import { awaitAll, dial } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import type { Netns } from '../../src/lab/netns.ts';
import { until } from '../../src/lab/until.ts';
import { type Family, HOSTS } from '../../src/lab/wiring.ts';
import { POLLERR, POLLOUT, POLLRDHUP, type Socket } from '../../src/native/sockets.ts';
import { Running } from './tcpwhy.ts';

const TIMES = 7;
const PORT = 15006;
const DOWN = 8080;

const installed = spawnSync('haproxy', ['-v']).status === 0;

test.skipIf(!installed).each([4, 6] as const)(
  'haproxy resets its clients because its upstream is down, IPv%d (needs haproxy)',
  async (family) => {
    await using tcpwhy = await Running.start();
    using lab = Lab.open();
    await using haproxy = new Haproxy(lab.server, family);
    const server = { address: HOSTS[family].server, port: PORT };
    for (let time = 0; time < TIMES; time++) {
      const [client] = dial(lab, lab.client, server, 1);
      if (client) talkUntilReset(client);
    }
    await tcpwhy.until((output) => output.count('proxy-upstream-failed') >= TIMES, 3000);
    const output = await tcpwhy.stop();
    const findings = output.findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));

    expect(sums(findings)).toEqual({ 'proxy-upstream-failed': TIMES, 'no-listener': TIMES });
    const found = findings.find(({ cause }) => cause === 'proxy-upstream-failed');
    expect(found?.process).toMatchObject({ pid: haproxy.pid, comm: 'haproxy' });
    expect(found?.evidence).toMatchObject({
      upstream: family === 4 ? `${server.address}:${DOWN}` : `[${server.address}]:${DOWN}`,
      upstream_error: 'ECONNREFUSED',
      upstream_cause: 'no-listener',
    });
  },
);

/** It may close as soon as it has accepted, or only once it was told something. */
function talkUntilReset(client: Socket): void {
  awaitAll([client], POLLOUT, 'the connect');
  client.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
  awaitAll([client], POLLRDHUP, 'the end of the stream');
  client.send(Buffer.from('one more thing'));
  awaitAll([client], POLLERR, 'the reset');
  client.close();
}

/** Passes on, byte by byte, to where nothing listens. */
class Haproxy {
  readonly #child: ChildProcess;
  readonly #folder: string;

  constructor(netns: Netns, family: Family) {
    const { server } = HOSTS[family];
    const at = family === 4 ? server : `[${server}]`;
    this.#folder = mkdtempSync(join(tmpdir(), 'tcpwhy-haproxy-'));
    const file = join(this.#folder, 'haproxy.cfg');
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
        bind ${at}:${PORT}
        server application ${at}:${DOWN}
\n`,
    );
    const { name } = netns;
    this.#child = spawn('ip', ['netns', 'exec', name, 'haproxy', '-db', '-f', file], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    until('haproxy to listen', () => netns.exec('ss', ['-Hltn']).includes(`:${PORT}`));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
    rmSync(this.#folder, { recursive: true });
  }
}
