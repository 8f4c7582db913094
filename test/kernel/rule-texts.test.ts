// SPDX-License-Identifier: Apache-2.0

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NETFILTER, Nftables } from '../../src/host/nftables/ruleset.ts';
import { ruleText } from '../../src/host/nftables/text.ts';
import { Netns } from '../../src/lab/netns.ts';
import { netlink } from '../../src/native/binding.ts';

const RULES = [
  'tcp dport 80 drop',
  'tcp dport { 80, 443 } drop',
  'tcp dport 80-90 drop',
  'tcp sport != 80 drop',
  'ip saddr 10.0.0.0/8 drop',
  'ip saddr 10.1.2.0/25 drop',
  'ip6 saddr 2001:db8::/32 drop',
  'ip saddr 10.1.0.2 tcp dport 80 reject',
  'reject with tcp reset',
  'reject with icmpx host-unreachable',
  'ip saddr 10.1.0.2 reject with icmp host-unreachable',
  'ip6 saddr 2001:db8::1 reject with icmpv6 addr-unreachable',
  'meta length > 700 drop',
  'meta length 100-200 drop',
  'ip length > 700 drop',
  'tcp option maxseg exists drop',
  'tcp option timestamp missing drop',
  'tcp option maxseg size < 1000 drop',
  'tcp option maxseg size 500-1000 drop',
  'meta mark 1 drop',
  'meta mark & 255 == 7 drop',
  'ct mark 16 drop',
  'meta cpu 1 drop',
  'meta iiftype ether drop',
  'meta pkttype multicast drop',
  'meta priority 1:2 drop',
  'meta rtclassid 5 drop',
  'meta skuid 1000 drop',
  'fib saddr type local drop',
  'fib daddr type != local drop',
  'fib daddr type { local, broadcast } drop',
  'fib saddr . iif oif missing drop',
  'fib saddr . iif oif exists drop',
  'add @m { ip saddr limit rate 10/second } drop',
  'update @m { ip saddr limit rate over 10/second } drop',
  'add @s { ip saddr } drop',
  'limit rate 10/second drop',
  'limit rate over 5/minute burst 20 packets drop',
  'limit rate 10 kbytes/second drop',
  'ct state invalid drop',
  'ct state new,established drop',
  'ct state != established drop',
  'ct direction reply drop',
  'ct status dnat drop',
  'ct count over 10 drop',
  'ct expiration > 100s drop',
  'ct helper "ftp" drop',
  'tcp flags syn drop',
  'tcp flags & (fin | syn) == syn drop',
  'tcp flags syn,ack drop',
  'tcp flags & (fin | syn | rst | ack) == fin drop',
  'tcp window < 100 drop',
  'tcp doff 5 drop',
  'ip ttl < 5 drop',
  'ip dscp cs1 drop',
  'ip6 hoplimit 1 drop',
  'iifname "eth*" drop',
  'iifname "eth0" oifname "eth1" drop',
  'iifname { "a", "b" } drop',
  'iifgroup 5 drop',
  'meta l4proto { tcp, udp } drop',
  'meta protocol ip drop',
  'meta nfproto ipv6 drop',
  'meta time < "2030-01-01 00:00:00" drop',
  'meta hour "08:00"-"17:00" drop',
  'meta day "Monday" drop',
  'numgen random mod 10 < 3 drop',
  'numgen inc mod 10 0 drop',
  'jhash ip saddr mod 2 0 drop',
  'symhash mod 2 0 drop',
  'socket transparent 1 drop',
  'socket mark 7 drop',
  'rt ip nexthop 10.0.0.1 drop',
  'rt classid 10 drop',
  'ip saddr . tcp dport { 10.0.0.1 . 80 } drop',
  'ip saddr @s drop',
  'ip saddr != @s drop',
  'tcp dport vmap { 80 : drop, 443 : accept }',
  'log prefix "x: " drop',
  'log level debug drop',
  'log group 3 drop',
  'meta mark set 3 drop',
  'ct mark set meta mark drop',
  'quota over 10 mbytes drop',
  'ether saddr 02:00:00:00:00:45 drop',
  'exthdr frag exists drop',
  'ip protocol tcp drop',
  'meta l4proto { tcp, udp } th dport 53 drop',
  'ct original ip saddr 10.0.0.1 drop',
  'ct bytes > 1000 drop',
  'tcp flags != syn drop',
  'tcp flags & syn != 0 drop',
  'tcp option timestamp tsval 5 drop',
  'meta mark != 0xff drop',
  'ip dscp != ef drop',
  'tcp dport != 80-90 drop',
  'add @m { ip saddr timeout 10s } drop',
  'ip saddr 10.0.0.1-10.0.0.9 drop',
  'ip6 saddr 2001:db8::1 tcp dport 80 reject',
  '@nh,8,8 5 drop',
  'ipsec in reqid 3 drop',
  'meta secpath exists drop',
  'meta nftrace set 1 drop',
  'meta random < 1000 drop',
  'iif "lo" drop',
  'oif != "lo" drop',
  'iif { "lo" } drop',
];

describe('texts of rules', () => {
  let netns: Netns;

  beforeAll(() => {
    netns = Netns.create('rule-texts');
  });

  afterAll(() => netns.delete());

  it.each(RULES)('%s', (rule) => {
    const sets =
      'set m { type ipv4_addr; size 100; flags dynamic; timeout 60s\n}\nset s { type ipv4_addr; size 100; flags dynamic\n}';
    netns.exec(
      'nft',
      ['-f', '-'],
      `flush ruleset\ntable inet t { ${sets}\nchain c { type filter hook input priority 0\n${rule}\n}\n}\n`,
    );
    const rules = new Nftables(
      (requests) => netlink(NETFILTER, requests, netns.path),
      () => 0,
    );
    const [chain] = rules.chains;
    const said = chain
      ? rules.rules(chain).map((one) =>
          ruleText(
            one,
            (set) => rules.members(chain, set),
            (ifindex) => (ifindex === 1 ? 'lo' : null),
          ),
        )
      : [];
    const listed = netns
      .exec('nft', ['list', 'chain', 'inet', 't', 'c'])
      .split('\n')
      // Without the lines that begin and end the table and the chain.
      .slice(3, -3)
      .map((line) => line.trim());
    expect(said).toEqual(listed);
  });
});
