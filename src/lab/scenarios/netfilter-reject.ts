// SPDX-License-Identifier: Apache-2.0

import { awaitReset, dial, knock, listen, localOf } from '../connections.ts';
import { rejectOut, rule } from '../rules.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { HOSTS } from '../wiring.ts';
import { knocked } from './netfilter-drop.ts';

const PORT = 6443;

export default [
  {
    id: 'netfilter-reject',
    title: 'a firewall rule of the server rejects SYNs with a reset',
    ownerless: true,
    commands: ['nft'],
    prepare: (lab) => rule(lab, PORT, 'reject with tcp reset'),
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].server, port: PORT };
      using _listener = listen(lab, family, PORT, times);
      const sockets = dial(lab, lab.client, server, times);
      const clients = sockets.map(localOf);
      awaitReset(sockets, 'ECONNREFUSED');
      return { server, clients, netns: lab.server.inode };
    },
  },
  {
    id: 'netfilter-reject/icmp',
    title: 'a firewall rule of the server rejects SYNs with an ICMP error',
    ownerless: true,
    commands: ['nft'],
    prepare(lab) {
      // One ICMP error for each.
      lab.server.sysctl({ 'net.ipv4.icmp_ratelimit': 0, 'net.ipv6.icmp.ratelimit': 0 });
      rule(lab, PORT, 'reject');
    },
    run: (lab, options) => knocked(lab, options, PORT),
  },
  {
    id: 'netfilter-reject/before-routing',
    title: 'a firewall rule of the server rejects SYNs with an ICMP error before they have a route',
    ownerless: true,
    commands: ['nft'],
    says: () => ({ hook: 'prerouting' }),
    prepare(lab) {
      lab.server.sysctl({ 'net.ipv4.icmp_ratelimit': 0, 'net.ipv6.icmp.ratelimit': 0 });
      rule(lab, PORT, 'reject', 'prerouting');
    },
    run: (lab, options) => knocked(lab, options, PORT),
  },
  {
    id: 'netfilter-reject/out',
    title: 'a firewall rule of the host itself rejects its SYNs with an ICMP error',
    commands: ['nft'],
    says: () => ({ hook: 'output', answer: 'an ICMP error' }),
    prepare: (lab) => lab.server.exec('nft', ['-f', '-'], rejectOut(PORT)),
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].nowhere, port: PORT };
      return { server, clients: knock(lab, server, times, lab.server), netns: lab.server.inode };
    },
  },
  {
    id: 'netfilter-reject/as-unreachable',
    title: 'a firewall rule of the host itself says that the host its SYNs are for is unreachable',
    commands: ['nft'],
    says: () => ({ hook: 'output', answer: 'an ICMP error' }),
    prepare: (lab) =>
      lab.server.exec('nft', ['-f', '-'], rejectOut(PORT, 'reject with icmpx host-unreachable')),
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].nowhere, port: PORT };
      return { server, clients: knock(lab, server, times, lab.server), netns: lab.server.inode };
    },
  },
  {
    id: 'netfilter-reject/answer',
    title:
      'a firewall rule of the server rejects its SYN-ACKs with a reset, as if their clients had',
    beside: ['synack-unsent'],
    ownerless: true,
    commands: ['nft'],
    says: () => ({ hook: 'output', flags: 'SA', answer: 'a reset' }),
    prepare: (lab) => rule(lab, PORT, 'reject with tcp reset', 'output'),
    run: (lab, options) => knocked(lab, options, PORT),
  },
  {
    id: 'netfilter-reject/limited',
    title:
      'a firewall rule of the server rejects SYNs, most of them without the ICMP error that is limited',
    ownerless: true,
    commands: ['nft'],
    prepare(lab) {
      lab.server.sysctl({ 'net.ipv4.icmp_ratelimit': 60_000, 'net.ipv6.icmp.ratelimit': 60_000 });
      rule(lab, PORT, 'reject');
    },
    run: (lab, options) => knocked(lab, options, PORT),
  },
] satisfies ScenarioEntry[];
