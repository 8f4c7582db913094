// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { sums, TIMES } from '../../src/lab/conformance.ts';
import { awaitAll, dial } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { POLLERR, POLLOUT, POLLRDHUP, type Socket } from '../../src/native/sockets.ts';
import type { Family } from '../../src/tcp/address.ts';
import { haproxy } from '../software/haproxy.ts';
import { lacking } from '../software/service.ts';
import { Running } from './tcpwhy.ts';

const PORT = 15006;
const DOWN = 8080;

it.for([4, 6] as Family[])(
  'haproxy resets its clients because its upstream is down, IPv%d',
  async (family, { skip }) => {
    const missing = lacking('haproxy');
    skip(missing !== null, missing ?? '');
    await using tcpwhy = await Running.start();
    using lab = Lab.open();
    const { server: address } = HOSTS[family];
    const server = { address, port: PORT };
    await using proxy = await haproxy(lab, server, { address, port: DOWN });
    for (let time = 0; time < TIMES; time++) {
      const [client] = dial(lab, lab.client, server, 1);
      if (client) talkUntilReset(client);
    }
    await tcpwhy.until((output) => output.count('proxy-upstream-failed') >= TIMES, 3000);
    const { findings } = await tcpwhy.stop();

    const here = findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
    expect(sums(here)).toEqual({ 'proxy-upstream-failed': TIMES, 'no-listener': TIMES });
    const found = here.find(({ cause }) => cause === 'proxy-upstream-failed');
    expect(found?.process).toMatchObject({ pid: proxy.pid, comm: 'haproxy' });
    expect(found?.evidence).toMatchObject({
      upstream: family === 4 ? `${address}:${DOWN}` : `[${address}]:${DOWN}`,
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
