// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import {
  type AskedHost,
  addressAskedOf,
  answerAskedOf,
  askedOf,
  passingAskedOf,
  portsAskedOf,
  wayBackAskedOf,
} from '../../src/host/asked.ts';
import { SOCK_DIAG } from '../../src/host/sock-diag.ts';
import { Lab } from '../../src/lab/lab.ts';
import { type Netns, run } from '../../src/lab/netns.ts';
import { until } from '../../src/lab/until.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { netlink, netlinkStrict, netnsFiles } from '../../src/native/binding.ts';
import { ERRNO } from '../../src/tcp/errno.ts';
import type { CallFailed, Drop, SynReceived } from '../../src/wire/types.gen.ts';

const HOST: AskedHost = {
  cgroups: () => [],
  cgroupPrograms: () => [],
  programsOfTypes: () => [],
  programName: () => '',
  holders: () => new Map(),
  securityModules: () => [],
  netlinkStrict,
  netlinkSockets: (requests, netns) => netlink(SOCK_DIAG, requests, netns),
  files: netnsFiles,
};
const BIND = 1;
const BOTH = [4, 6] as const;
const ABSENT = { 4: '10.4.26.98', 6: '2001:db8:26::98' } as const;
const FAR = { 4: '192.0.2.9', 6: '2001:db8:99::9' } as const;

/** Of what was asked of the kernel no more than this is looked at. */
function bindOf(netns: Netns, saddr: string, err: number, sport = 0) {
  const any = saddr.includes(':') ? '::' : '0.0.0.0';
  const failed = {
    ...{ call: BIND, err, scope: 0, mark: 0, uid: 0, program: null },
    ...{ second_program: null, third_program: null, cgroup: '0' },
    sock: {
      flow: { saddr, sport, daddr: any, dport: 0, service: 0 },
      ...{ bound_ifindex: 0, owner: { pid: 0, comm: '', cgroup: '0' } },
    },
  };
  return askedOf(HOST, failed as unknown as CallFailed, netns.path);
}

function segment(saddr: string, daddr: string, device: string, route_errno = 0) {
  const packet = { flow: { saddr, sport: 40_000, daddr, dport: 80, service: 2 }, device };
  return { packet, route_errno } as unknown as Drop & SynReceived;
}

test('a bind fails of an address that is not here, not yet usable, or another host’s too', () => {
  using lab = Lab.open();
  const { client, server } = lab;
  for (const family of BOTH) {
    expect(bindOf(client, ABSENT[family], ERRNO.EADDRNOTAVAIL).source_missing).toBe(1);
    expect(bindOf(client, HOSTS[family].client, ERRNO.EADDRNOTAVAIL).source_missing).toBe(0);
    expect(addressAskedOf(HOST, ABSENT[family], client.path, 0)?.source_missing).toBe(1);
  }
  server.ip(`addr add ${ABSENT[6]}/64 dev s0 nodad`);
  client.ip(`addr add ${ABSENT[6]}/64 dev c0`);
  const now = () => bindOf(client, ABSENT[6], ERRNO.EADDRNOTAVAIL);
  until('the address to be found at the other host', () => now().duplicate === 1, 10_000);
  expect(now()).toMatchObject({ source_missing: 0, tentative: 0 });
  expect(bindOf(client, HOSTS[6].client, ERRNO.EADDRNOTAVAIL).duplicate).toBe(0);
});

test('ports that are reserved are told where a bind or a connect was given none', () => {
  using lab = Lab.open();
  const { client, server } = lab;
  client.sysctl({ 'net.ipv4.ip_local_reserved_ports': '8080,40000-40003' });
  expect(portsAskedOf(HOST, client.path).reserved_ports).toBe('8080,40000-40003');
  expect(portsAskedOf(HOST, server.path).reserved_ports).toBe('');
  const told = (err: number, port: number) =>
    bindOf(client, HOSTS[4].client, err, port).reserved_ports;
  expect(told(ERRNO.EADDRINUSE, 0)).toBe('8080,40000-40003');
  expect(told(ERRNO.EADDRINUSE, 80)).toBe('');
  expect(told(ERRNO.EADDRNOTAVAIL, 0)).toBe('');
});

test('the way back is that of the answer, and no other where rules go by what is not known', () => {
  using lab = Lab.open();
  const { client, server } = lab;
  server.ip(`link add s1 type veth peer name c1 netns ${client.name}`);
  client.ip('link set c1 up');
  server.ip('link set s1 up', 'addr add 192.0.2.1/24 dev s1');
  const back = (from: string, to: string = HOSTS[4].server) =>
    wayBackAskedOf(HOST, segment(from, to, 's0'), server.path);
  expect(back(HOSTS[4].client)).toMatchObject({ device: 's0', route_errno: 0 });
  expect(back(FAR[4])).toMatchObject({ device: 's1', route_errno: 0 });
  expect(back('203.0.113.9')).toMatchObject({ device: '', route_errno: ERRNO.ENETUNREACH });

  // The answer's own source chooses the table.
  server.ip('route add default dev s1 table 77', `rule add from ${HOSTS[4].server} lookup 77`);
  expect(back(HOSTS[4].client)).toMatchObject({ device: 's1' });
  expect(back(HOSTS[4].client, '192.0.2.1')).toMatchObject({ device: 's0' });
  // With whose source the filter asks for what is passed on nobody else may ask.
  expect(back(HOSTS[4].client, '203.0.113.9')).toBeNull();
  server.ip('rule add fwmark 5 lookup 77');
  expect(back(HOSTS[4].client)).toBeNull();
});

test.each(BOTH)('what refuses a segment or the answer to it is named, IPv%i', (family) => {
  using lab = Lab.open();
  const { client } = lab;
  const { client: here, server: peer } = HOSTS[family];
  const ip = (...commands: string[]) => {
    for (const one of commands) run('ip', ['-n', client.name, `-${family}`, ...one.split(' ')]);
  };
  const passing = (errno: number, device = 'c0') =>
    passingAskedOf(HOST, segment(peer, FAR[family], device, errno), client.path);
  const answer = () => answerAskedOf(HOST, segment(peer, here, 'c0'), client.path);
  expect(answer()).toBeNull();
  expect(passing(ERRNO.EINVAL)).toMatchObject({ route_type: '', prefix: '', rule: '' });

  ip('route add blackhole default table 77', 'rule add iif c0 lookup 77 pref 40');
  const blackhole = { route_type: 'blackhole', prefix: 'default', table: 77, rule: '' };
  expect(passing(ERRNO.EINVAL)).toMatchObject(blackhole);
  expect(passing(ERRNO.EINVAL, 'c1')).toMatchObject({ route_type: '' });
  expect(passing(ERRNO.EACCES)).toMatchObject({ route_type: '' });
  // What is sent from here did not come in.
  expect(answer()).toBeNull();

  ip(`rule add to ${peer} prohibit pref 30`);
  const rule = { route_errno: ERRNO.EACCES, route_type: 'prohibit' };
  expect(answer()).toMatchObject({ ...rule, rule: `30: from all to ${peer} prohibit` });
  ip('rule add fwmark 5 lookup 77 pref 20');
  expect(passing(ERRNO.EINVAL)).toBeNull();
  expect(answer()).toMatchObject({ route_errno: ERRNO.EACCES, route_type: '', rule: '' });
});
