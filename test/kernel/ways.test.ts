// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { Ways } from '../../src/host/leads.ts';
import { namespacePlaces } from '../../src/host/places.ts';
import { Lab } from '../../src/lab/lab.ts';
import type { Netns } from '../../src/lab/netns.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { netlinkStrict } from '../../src/native/binding.ts';

const ROUTING = (path: string) => (requests: Buffer[]) => netlinkStrict(requests, path);
const leads = (from: Netns, addr: string, to: Netns) =>
  new Ways(ROUTING, namespacePlaces(ROUTING)).leads(from.inode, addr, to.inode);

test('an address is another namespace’s only where the way leads there, over pairs and bridges', () => {
  using lab = Lab.open();
  const { client, server } = lab;
  for (const family of [4, 6] as const) {
    expect(leads(client, HOSTS[family].server, server)).toBe(true);
    expect(leads(server, HOSTS[family].client, client)).toBe(true);
  }

  // It has the address, and nothing leads there: the client’s way goes to the server, which has none.
  const far = lab.netns('far');
  far.ip('link add b0 type bridge');
  far.ip('link set b0 up');
  far.ip('address add 192.0.2.7/24 dev b0');
  client.ip(`route add 192.0.2.0/24 via ${HOSTS[4].server}`);
  expect(leads(client, '192.0.2.7', far)).toBe(false);

  // Then it is on a bridge of its own, to which the server has a device.
  server.ip(`link add s1 type veth peer name f1 netns ${far.name}`);
  far.ip('link set f1 master b0');
  far.ip('link set f1 up');
  server.ip('link set s1 up');
  server.ip('address add 192.0.2.1/24 dev s1');
  expect(leads(server, '192.0.2.7', far)).toBe(true);
  expect(leads(client, '192.0.2.7', far)).toBe(true);
  expect(leads(far, '192.0.2.1', server)).toBe(true);

  // Over its bridge to another port; and the client’s way no longer goes there.
  const port = lab.netns('port');
  far.ip(`link add f2 type veth peer name p0 netns ${port.name}`);
  far.ip('link set f2 master b0 up');
  port.ip('link set p0 up');
  port.ip('address add 192.0.2.8/24 dev p0');
  expect(leads(server, '192.0.2.8', port)).toBe(true);
  expect(leads(server, '192.0.2.8', far)).toBe(false);
  client.ip('route replace blackhole 192.0.2.0/24');
  expect(leads(client, '192.0.2.8', port)).toBe(false);
});
