// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import {
  accept,
  awaitAll,
  awaitReset,
  dial,
  dialFrom,
  listen,
  say,
} from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { forward } from '../../src/lab/nat.ts';
import { HOSTS, plug } from '../../src/lab/wiring.ts';
import { POLLRDHUP, type Socket } from '../../src/native/sockets.ts';
import { Running } from './tcpwhy.ts';

const TIMES = 7;
/** The last of the ports that this kernel gives to clients, so that the others are lower. */
const PORT = 60999;
const SERVER = { address: HOSTS[4].server, port: PORT };

const WAYS: { name: string; dialAll(lab: Lab): Socket[] }[] = [
  { name: 'connect() chose', dialAll: (lab) => dial(lab, lab.client, SERVER, TIMES) },
  {
    name: 'bind() gave, outside those of clients,',
    dialAll: (lab) =>
      Array.from({ length: TIMES }, (_, nth) =>
        dialFrom(lab, { address: HOSTS[4].client, port: 800 + nth }, SERVER),
      ),
  },
];

test.for(WAYS)(
  'who had dialled from a port that $name before tcpwhy began is the client, whatever the service’s port',
  async ({ dialAll }) => {
    using lab = Lab.open();
    using listener = listen(lab, 4, PORT, TIMES);
    const pairs = accept(listener, dialAll(lab));
    await using tcpwhy = await Running.start(['trace', '--netns', lab.client.name]);
    for (const { server } of pairs) server.close();
    const clients = pairs.map(({ client }) => client);
    awaitAll(clients, POLLRDHUP, 'the end of the stream');
    say(clients, 'one more thing');
    await tcpwhy.until((output) => output.count('reset-by-peer') === TIMES);
    const { findings } = await tcpwhy.stop();
    expect(findings.map(({ cause, where, count }) => [cause, where, count])).toEqual([
      ['reset-by-peer', `${HOSTS[4].server}:${PORT}`, TIMES],
    ]);
    expect(findings[0]?.advice.join()).not.toContain('is a client');
  },
);

test('a host between that was not there when they connected knows the service by who listens on it', async () => {
  using lab = Lab.open();
  const [router, far] = [lab.netns('router'), lab.netns('far')];
  const near = { address: '10.4.27.11', port: PORT };
  plug(
    { netns: lab.server, device: 's1', mac: '02:00:00:00:01:11' },
    { netns: router, device: 'r0', mac: '02:00:00:00:01:01' },
  );
  plug(
    { netns: far, device: 'f0', mac: '02:00:00:00:02:11' },
    { netns: router, device: 'r1', mac: '02:00:00:00:02:01' },
  );
  lab.server.ip(`addr add ${near.address}/24 dev s1`, 'route add 10.4.28.0/24 via 10.4.27.1');
  router.ip('addr add 10.4.27.1/24 dev r0', 'addr add 10.4.28.1/24 dev r1');
  far.ip('addr add 10.4.28.11/24 dev f0', 'route add 10.4.27.0/24 via 10.4.28.1');
  forward(router);
  using listener = listen(lab, 4, PORT, TIMES, { address: near.address });
  const pairs = accept(listener, dial(lab, far, near, TIMES));
  const clients = pairs.map(({ client }) => client);
  await using tcpwhy = await Running.start(['trace', '--netns', router.name]);
  const reject = 'type filter hook forward priority 0; ip protocol tcp reject with tcp reset;';
  router.exec('nft', ['-f', '-'], `table ip lab { chain forward { ${reject} }; }`);
  say(clients, 'a request');
  awaitReset(clients, 'ECONNRESET');
  await tcpwhy.until((output) => output.count('netfilter-reject') === TIMES);
  const { findings } = await tcpwhy.stop();
  expect(findings.map(({ cause, where, count }) => [cause, where, count])).toEqual([
    ['netfilter-reject', `${near.address}:${PORT}`, TIMES],
  ]);
});
