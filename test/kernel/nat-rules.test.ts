// SPDX-License-Identifier: Apache-2.0

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { natEnds } from '../../src/host/nftables/nat.ts';
import { NETFILTER, Nftables } from '../../src/host/nftables/ruleset.ts';
import { Netns } from '../../src/lab/netns.ts';
import { netlink } from '../../src/native/binding.ts';

const FLOW = { saddr: '10.1.0.2', sport: 40_000, daddr: '10.9.0.9', dport: 80, service: 2 };
const FLOW6 = { ...FLOW, saddr: '2001:db8::2', daddr: '2001:db8::9' };

const prerouting = (rules: string, chains = '', family = 'ip') =>
  `table ${family} t { ${chains}\nchain p { type nat hook prerouting priority -100\n${rules}\n}\n}`;

const CASES: [name: string, ruleset: string, ends: string[], flow?: typeof FLOW][] = [
  ['no rule', '', ['10.9.0.9:80']],
  [
    'one rule',
    prerouting('ip daddr 10.9.0.9 tcp dport 80 counter dnat to 10.2.0.2:8080'),
    ['10.2.0.2:8080'],
  ],
  ['another port', prerouting('tcp dport 81 dnat to 10.2.0.2'), ['10.9.0.9:80']],
  ['the address alone', prerouting('ip daddr 10.9.0.0/24 dnat to 10.2.0.2'), ['10.2.0.2:80']],
  ['a port of this host', prerouting('tcp dport 80 redirect to :8080'), ['0.0.0.0:8080']],
  [
    'the first that matches',
    prerouting('tcp dport { 80, 443 } dnat to 10.2.0.2\ntcp dport 80 dnat to 10.2.0.3'),
    ['10.2.0.2:80'],
  ],
  ['none of a set', prerouting('tcp dport != { 80, 443 } dnat to 10.2.0.2'), ['10.9.0.9:80']],
  ['a range', prerouting('tcp dport { 70-90, 443 } dnat to 10.2.0.2'), ['10.2.0.2:80']],
  ['beside a range', prerouting('tcp dport { 70-79, 443 } dnat to 10.2.0.2'), ['10.9.0.9:80']],
  [
    'what cannot be known may be or not',
    prerouting('iifname "eth7" tcp dport 80 dnat to 10.2.0.2\ndnat to 10.2.0.3'),
    ['10.2.0.2:80', '10.2.0.3:80'],
  ],
  [
    'a chance',
    prerouting('numgen random mod 2 0 dnat to 10.2.0.2\ntcp dport 80 dnat to 10.2.0.3'),
    ['10.2.0.2:80', '10.2.0.3:80'],
  ],
  [
    'a map of chance',
    prerouting('tcp dport 80 dnat to numgen random mod 2 map { 0 : 10.2.0.2, 1 : 10.2.0.3 }'),
    [],
  ],
  ['a map', prerouting('dnat to tcp dport map { 80 : 10.2.0.2, 443 : 10.2.0.3 }'), ['10.2.0.2:80']],
  [
    'a chain by a map',
    prerouting(
      'ip daddr . tcp dport vmap { 10.9.0.9 . 80 : goto svc }\ndnat to 10.2.0.9',
      'chain svc { tcp dport 80 dnat to 10.2.0.2:8080\n}',
    ),
    ['10.2.0.2:8080'],
  ],
  [
    'a chain that returns',
    prerouting('jump svc\ndnat to 10.2.0.9', 'chain svc { tcp dport 81 dnat to 10.2.0.2\n}'),
    ['10.2.0.9:80'],
  ],
  [
    'accepted before',
    prerouting('jump svc\ndnat to 10.2.0.9', 'chain svc { tcp dport 80 accept\n}'),
    ['10.9.0.9:80'],
  ],
  ['returned before', prerouting('ip daddr 10.9.0.0/24 return\ndnat to 10.2.0.9'), ['10.9.0.9:80']],
  [
    'a chain that returns before its end',
    prerouting(
      'jump svc\ndnat to 10.2.0.9',
      'chain svc { tcp dport 80 return\ndnat to 10.2.0.2\n}',
    ),
    ['10.2.0.9:80'],
  ],
  [
    'a chain that may return',
    prerouting(
      'jump svc\ndnat to 10.2.0.9',
      'chain svc { iifname "eth7" return\ndnat to 10.2.0.2\n}',
    ),
    ['10.2.0.2:80', '10.2.0.9:80'],
  ],
  [
    'a chain that is gone to',
    prerouting('goto svc\ndnat to 10.2.0.9', 'chain svc { tcp dport 81 dnat to 10.2.0.2\n}'),
    ['10.9.0.9:80'],
  ],
  [
    'of another hook',
    'table ip t { chain o { type nat hook output priority -100; dnat to 10.2.0.2\n}\n}',
    ['10.9.0.9:80'],
  ],
  [
    'of both families',
    prerouting('meta l4proto tcp dnat ip to 10.2.0.2:81', '', 'inet'),
    ['10.2.0.2:81'],
  ],
  [
    'IPv6',
    prerouting('ip6 daddr 2001:db8::9 tcp dport 80 dnat to [2001:db8::7]:81', '', 'ip6'),
    ['[2001:db8::7]:81'],
    FLOW6,
  ],
  ['of the other family', prerouting('dnat to 10.2.0.2'), ['[2001:db8::9]:80'], FLOW6],
];

describe('rules that translate destinations', () => {
  let netns: Netns;

  beforeAll(() => {
    netns = Netns.create('nat-rules');
  });

  afterAll(() => netns.delete());

  it.each(CASES)('%s', (_, ruleset, ends, flow = FLOW) => {
    netns.exec('nft', ['-f', '-'], `flush ruleset\n${ruleset}\n`);
    const rules = new Nftables(
      (requests) => netlink(NETFILTER, requests, netns.path),
      () => 0,
    );
    expect(natEnds(rules, 'prerouting', flow).sort()).toEqual(ends);
  });
});
