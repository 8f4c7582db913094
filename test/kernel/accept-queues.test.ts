// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { acceptQueuesIn } from '../../src/host/accept-queues.ts';
import { LISTENERS, SOCK_DIAG } from '../../src/host/sock-diag.ts';
import { awaitQueued, dial, listen } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { netlink } from '../../src/native/binding.ts';

it.each([4, 6] as const)('the kernel tells how full an accept queue of IPv%d is', (family) => {
  using lab = Lab.open();
  const listener = listen(lab, family, 80, 7);
  const server = { address: HOSTS[family].server, port: 80 };
  dial(lab, lab.client, server, 3);
  awaitQueued(listener, 3);
  expect(acceptQueuesIn(netlink(SOCK_DIAG, LISTENERS, lab.server.path))).toEqual([
    { port: 80, usage: 3, limit: 7 },
  ]);
  expect(acceptQueuesIn(netlink(SOCK_DIAG, LISTENERS, lab.client.path))).toEqual([]);
});
