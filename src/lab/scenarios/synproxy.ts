// SPDX-License-Identifier: Apache-2.0

import type { Family } from '../../tcp/address.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { forward, rules, table } from '../nat.ts';
import type { Netns } from '../netns.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { Stranger, SYN_ACK } from '../stranger.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 443;
/** What each host of an Ethernet says; SYN cookies tell a few sizes apart. */
const MSS_1460 = Buffer.from([2, 4, 1460 >> 8, 1460 & 0xff]);
const BEHIND_MAC = '02:00:00:00:00:99';

/** A host behind the server is not there, and SYNPROXY of the server answers for it. */
const synproxyUnanswered: ScenarioEntry = {
  id: 'synproxy-unanswered',
  title: 'SYNPROXY completes handshakes for a host that does not answer, and its clients go on',
  // Of IPv6 it takes the MSS of jumbo frames for the kernel to drop anything: it dials again instead.
  families: [4],
  ownerless: true,
  commands: ['nft'],
  prepare(lab, { family }) {
    lab.server.ip(`neigh add ${HOSTS[family].vip} lladdr ${BEHIND_MAC} dev s0 nud permanent`);
    forward(lab.server);
    lab.server.sysctl({ 'net.netfilter.nf_conntrack_tcp_loose': 0 });
    rules(
      lab.server,
      family,
      `counter sent {}
      chain raw { type filter hook prerouting priority -300; tcp dport ${PORT} tcp flags syn notrack; }
      chain guard { type filter hook forward priority 0;
        tcp dport ${PORT} ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
      }
      chain own { type filter hook output priority 0; tcp dport ${PORT} counter name sent; }`,
    );
  },
  run(lab, { times, family }) {
    const { vip, nowhere } = HOSTS[family];
    using stranger = new Stranger(lab, family, vip);
    stranger.clock = 1;
    const ports = lab.ports(times);
    const sent = () => counted(lab.server, family, 'sent');
    const before = sent();
    for (const sport of ports)
      stranger.send({ sport, dport: PORT, flags: TCP_FLAG.syn, seq: sport, options: MSS_1460 });
    const taken = stranger.receive(SYN_ACK, times);
    for (const segment of taken) stranger.reply(segment, TCP_FLAG.ack);
    until('SYNPROXY to dial the host behind it', () => sent() - before >= times);
    // What tries the window has the number before the one that comes next.
    for (const segment of taken) stranger.reply(segment, TCP_FLAG.ack, { seq: segment.ack - 1 });
    return {
      server: { address: vip, port: PORT },
      clients: ports.map((port) => ({ address: nowhere, port })),
      netns: lab.server.inode,
    };
  },
};

/** Packets that a counter of the lab's rules has seen. */
function counted(netns: Netns, family: Family, name: string): number {
  const text = netns.exec('nft', ['list', 'counter', table(family), 'lab', name]);
  return Number(text.match(/packets (\d+)/)?.[1]);
}

export default [synproxyUnanswered] satisfies ScenarioEntry[];
