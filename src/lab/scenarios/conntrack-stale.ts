// SPDX-License-Identifier: Apache-2.0

import type { Family } from '../../tcp/address.ts';
import { awaitTimeout, dial, growth, localOf } from '../connections.ts';
import type { Lab } from '../lab.ts';
import { bracketed, forward, routeVip, table } from '../nat.ts';
import type { Netns } from '../netns.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';
import { giveUpSoon } from './silence.ts';

const PORT = 443;
const OLD_PORT = 15_001;
const NEW_PORT = 15_002;
/** No entry is dropped by it; without a rule that asks nothing is tracked. */
const TRACK = 'chain through { type filter hook forward priority 0; ct state new accept; }';

type Hook = 'prerouting' | 'output';

/** All rules of the namespace: what is dialled at the address goes to this port of a host that is silent. */
function translate(netns: Netns, family: Family, hook: Hook, address: string, port: number): void {
  const ip = table(family);
  const to = bracketed(family, HOSTS[family].nowhere, port);
  only(
    netns,
    family,
    `chain there { type nat hook ${hook} priority -100; ${ip} daddr ${address} tcp dport ${PORT} dnat to ${to}; }`,
  );
}

function only(netns: Netns, family: Family, chains: string): void {
  netns.exec('nft', ['-f', '-'], `flush ruleset; table ${table(family)} lab { ${chains}\n}`);
}

/** The client's SYNs pass the server before its rules change, and again after. */
function passing(lab: Lab, { times, family }: Options, before: () => void): Made {
  const server = { address: HOSTS[family].vip, port: PORT };
  before();
  const again = growth(lab.client, 'TcpExt', 'TCPSynRetrans');
  const sockets = dial(lab, lab.client, server, times);
  const clients = sockets.map(localOf);
  until('the SYNs to be tracked', () => entries(lab.server) >= times);
  translate(lab.server, family, 'prerouting', server.address, NEW_PORT);
  until('the SYNs to be sent again', () => again() >= times);
  for (const socket of sockets) socket.close();
  return { server, clients, netns: lab.server.inode };
}

function entries(netns: Netns): number {
  return Number(netns.exec('sysctl', ['-n', 'net.netfilter.nf_conntrack_count']));
}

export default [
  {
    id: 'conntrack-stale',
    beside: ['connect-given-up'],
    title: 'SYNs are sent on to where rules of the hop sent them that have changed since',
    // Their SYNs that are sent again are seen as they leave, which the hooks tier does not watch.
    tier: 'tracepoints',
    ownerless: true,
    commands: ['nft'],
    says: ({ family }) => ({
      goes_to: bracketed(family, HOSTS[family].nowhere, OLD_PORT),
      rules_send_to: bracketed(family, HOSTS[family].nowhere, NEW_PORT),
      entry_state: 'SYN_SENT',
    }),
    prepare(lab, { family }) {
      forward(lab.server);
      routeVip(lab, family);
    },
    run: (lab, options) =>
      passing(lab, options, () =>
        translate(lab.server, options.family, 'prerouting', HOSTS[options.family].vip, OLD_PORT),
      ),
  },
  {
    id: 'conntrack-stale/untranslated',
    beside: ['connect-given-up'],
    title: 'the same where there was no rule yet that translates them',
    tier: 'tracepoints',
    ownerless: true,
    commands: ['nft'],
    says: ({ family }) => ({
      goes_to: bracketed(family, HOSTS[family].vip, PORT),
      rules_send_to: bracketed(family, HOSTS[family].nowhere, NEW_PORT),
    }),
    prepare(lab, { family }) {
      forward(lab.server);
      routeVip(lab, family);
      lab.server.ip(`route add ${HOSTS[family].vip} dev nowhere`);
    },
    run: (lab, options) => passing(lab, options, () => only(lab.server, options.family, TRACK)),
  },
  {
    id: 'conntrack-stale/own',
    title: 'connects of the host itself, where its own rules have changed since their first SYN',
    tier: 'tracepoints',
    commands: ['nft'],
    says: ({ family }) => ({
      goes_to: bracketed(family, HOSTS[family].nowhere, OLD_PORT),
      rules_send_to: bracketed(family, HOSTS[family].nowhere, NEW_PORT),
    }),
    prepare: (lab) => giveUpSoon(lab.server),
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].client, port: PORT };
      translate(lab.server, family, 'output', server.address, OLD_PORT);
      const sockets = dial(lab, lab.server, server, times);
      const clients = sockets.map(localOf);
      translate(lab.server, family, 'output', server.address, NEW_PORT);
      awaitTimeout(sockets);
      return { server, clients, netns: lab.server.inode };
    },
  },
] satisfies ScenarioEntry[];
