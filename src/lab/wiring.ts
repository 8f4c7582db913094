// SPDX-License-Identifier: Apache-2.0

import { type Netns, run } from './netns.ts';
import { until } from './until.ts';

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

/** Few processes: in a virtual machine under emulation they are most of what a lab costs. */
export function wire(client: Netns, server: Netns): void {
  const c0 = { netns: client, device: 'c0', mac: MAC.client };
  const s0 = { netns: server, device: 's0', mac: MAC.server };
  addCable(c0, s0);
  setUp(
    client,
    'link set lo up',
    'link set c0 up',
    `addr add ${ip4.client}/24 dev c0`,
    `addr add ${ip4.balancer}/32 dev c0`,
    `addr add ${ip6.client}/64 dev c0 nodad`,
    `addr add ${ip6.balancer}/128 dev c0 nodad`,
    `neigh add ${ip4.server} lladdr ${MAC.server} dev c0 nud permanent`,
    `neigh add ${ip6.server} lladdr ${MAC.server} dev c0 nud permanent`,
  );
  setUp(
    server,
    'link set lo up',
    'link set s0 up',
    `addr add ${ip4.server}/24 dev s0`,
    `addr add ${ip6.server}/64 dev s0 nodad`,
    `neigh add ${ip4.client} lladdr ${MAC.client} dev s0 nud permanent`,
    `neigh add ${ip6.client} lladdr ${MAC.client} dev s0 nud permanent`,
    `route add ${ip4.balancer} via ${ip4.client}`,
    `route add ${ip6.balancer} via ${ip6.client}`,
  );
  nowhere(server);
  until('the cable to carry and the addresses to be usable', () => {
    return isUsable(c0, [ip6.client, ip6.balancer]) && isUsable(s0, [ip6.server]);
  });
}

interface Plug {
  netns: Netns;
  device: string;
  mac: string;
}

/** Plugs in a cable from one device to another. */
export function plug(one: Plug, other: Plug): void {
  addCable(one, other);
  for (const { netns, device } of [one, other]) netns.ip(`link set ${device} up`);
  until('the cable to carry', () => isUsable(one) && isUsable(other));
}

function addCable(one: Plug, other: Plug): void {
  run(
    'ip',
    ['-batch', '-'],
    `link add ${one.device} address ${one.mac} netns ${one.netns.name} type veth peer ` +
      `name ${other.device} index ${peerIndex++} address ${other.mac} netns ${other.netns.name}`,
  );
}

/**
 * Whether a device carries, which until then throws away what it is given without a word, and IPv6
 * addresses are answered for: they are shown at once, and usable a moment later.
 */
function isUsable({ netns, device }: Plug, addresses: string[] = []): boolean {
  const commands = `link show ${device}\nroute show table local`;
  const seen = run('ip', ['-6', '-n', netns.name, '-batch', '-'], commands);
  return !seen.includes('qdisc noop ') && addresses.every((one) => seen.includes(`local ${one} `));
}

function setUp(netns: Netns, ...commands: string[]): void {
  const script = [
    'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad',
    `exec ip -batch - <<'END'\n${commands.join('\n')}\nEND`,
  ];
  netns.exec('sh', ['-e'], script.join('\n'));
}

/** Either kind of device swallows what it is given to send. A kernel may have only one of them. */
function nowhere(server: Netns): void {
  const routes = [ip4.nowhere, ip6.nowhere].map((host) => `route add ${host} dev nowhere`);
  const add = (type: string) =>
    server.ip(`link add nowhere type ${type}`, 'link set nowhere up', ...routes);
  try {
    add('dummy');
  } catch {
    add('ifb');
  }
}
