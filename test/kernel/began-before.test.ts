// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { accept, awaitAll, dial, dialFrom, listen, say } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
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
