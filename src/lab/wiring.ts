// SPDX-License-Identifier: Apache-2.0

import { type Netns, run } from './netns.ts';
import { until } from './until.ts';

export type Family = 4 | 6;

/** Hosts of the lab. Those of `nowhere` exist only as segments made by hand. */
export const HOSTS = {
  4: {
    client: '10.4.26.45',
    server: '10.4.26.11',
    vip: '10.4.26.234',
    balancer: '10.141.16.7',
    nowhere: '172.16.0.13',
  },
  6: {
    client: '2001:db8:26::45',
    server: '2001:db8:26::11',
    vip: '2001:db8:26::234',
    balancer: '2001:db8:16::7',
    nowhere: '2001:db8:13::13',
  },
} as const;

export const MAC = { client: '02:00:00:00:00:45', server: '02:00:00:00:00:11' } as const;

const { 4: ip4, 6: ip6 } = HOSTS;

/** Where both ends have one index the kernel takes up to a second to believe that they are up. */
let peerIndex = 1001;

export function wire(client: Netns, server: Netns): void {
  for (const netns of [client, server]) {
    netns.ip('link set lo up');
    netns.sysctl({
      'net.ipv4.conf.all.rp_filter': 0,
      'net.ipv4.conf.default.rp_filter': 0,
      'net.ipv6.conf.default.accept_dad': 0,
    });
  }
  plug(
    { netns: client, device: 'c0', mac: MAC.client },
    { netns: server, device: 's0', mac: MAC.server },
  );
  client.ip(
    `addr add ${ip4.client}/24 dev c0`,
    `addr add ${ip4.balancer}/32 dev c0`,
    `addr add ${ip6.client}/64 dev c0 nodad`,
    `addr add ${ip6.balancer}/128 dev c0 nodad`,
    `neigh add ${ip4.server} lladdr ${MAC.server} dev c0 nud permanent`,
    `neigh add ${ip6.server} lladdr ${MAC.server} dev c0 nud permanent`,
  );
  server.ip(
    `addr add ${ip4.server}/24 dev s0`,
    `addr add ${ip6.server}/64 dev s0 nodad`,
    `neigh add ${ip4.client} lladdr ${MAC.client} dev s0 nud permanent`,
    `neigh add ${ip6.client} lladdr ${MAC.client} dev s0 nud permanent`,
    `route add ${ip4.balancer} via ${ip4.client}`,
    `route add ${ip6.balancer} via ${ip6.client}`,
  );
  nowhere(server);
  until('the addresses to be usable', () => {
    const ends: [Netns, string][] = [
      [client, ip6.client],
      [client, ip6.balancer],
      [server, ip6.server],
    ];
    return ends.every(([netns, address]) => isLocal(netns, address));
  });
}

/** An IPv6 address is shown at once, and a moment later it is answered for. */
function isLocal(netns: Netns, address: string): boolean {
  const routes = run('ip', ['-n', netns.name, '-6', 'route', 'show', 'table', 'local']);
  return routes.includes(`local ${address} `);
}

interface Plug {
  netns: Netns;
  device: string;
  mac: string;
}

/** A cable from one device to another. */
export function plug(one: Plug, other: Plug): void {
  run('ip', [
    ...['link', 'add', one.device, 'address', one.mac, 'netns', one.netns.name],
    ...[
      'type',
      'veth',
      'peer',
      'name',
      other.device,
      'index',
      String(peerIndex++),
      'address',
      other.mac,
    ],
    ...['netns', other.netns.name],
  ]);
  const ends = [one, other];
  for (const { netns, device } of ends) netns.ip(`link set ${device} up`);
  until('the cable to carry', () => ends.every(carries));
}

/** Until then a device throws away what it is given, without a word. */
function carries({ netns, device }: Plug): boolean {
  return !run('ip', ['-n', netns.name, 'link', 'show', device]).includes('qdisc noop ');
}

/** Either kind of device swallows what it is given to send. A kernel may have only one of them. */
function nowhere(server: Netns): void {
  try {
    server.ip('link add nowhere type dummy');
  } catch {
    server.ip('link add nowhere type ifb');
  }
  server.ip(
    'link set nowhere up',
    `route add ${ip4.nowhere} dev nowhere`,
    `route add ${ip6.nowhere} dev nowhere`,
  );
}
