// SPDX-License-Identifier: Apache-2.0

import { must, POLLERR, POLLIN } from '../../native/sockets.ts';
import type { Family } from '../../tcp/address.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import {
  accept,
  awaitAll,
  closeUnheard,
  dial,
  growth,
  listen,
  localOf,
  type Pair,
  say,
  shareFrom,
} from '../connections.ts';
import { flush } from '../flush.ts';
import type { Lab } from '../lab.ts';
import { rules } from '../nat.ts';
import { hits, rule } from '../rules.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { Stranger, SYN_ACK } from '../stranger.ts';
import { track, tracked } from '../tracked.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 443;
const OTHER_PORT = 15_001;
/** Longer than an entry is kept for a second at the least. */
const FORGOTTEN_MS = 1500;

/** Segments in the middle of connections that nobody here has. */
function strays(lab: Lab, { times, family }: Options): Made {
  using stranger = new Stranger(lab, family);
  const ports = lab.ports(times);
  for (const sport of ports)
    stranger.send({ sport, dport: PORT, flags: TCP_FLAG.ack, seq: 1, ack: 1, window: 100 });
  return {
    server: { address: HOSTS[family].server, port: PORT },
    clients: ports.map((port) => ({ address: stranger.address, port })),
    netns: lab.server.inode,
  };
}

/** What a service goes on to send to a host that translated for others, and has forgotten that it did. */
function pushed(lab: Lab, { times, family }: Options, flags: number = TCP_FLAG.ack): Made {
  using stranger = new Stranger(lab, family);
  const { address } = stranger;
  const ports = lab.ports(times);
  for (const dport of ports)
    stranger.send({ sport: PORT, dport, flags, seq: 1, ack: 1, window: 100 });
  return {
    server: { address, port: PORT },
    clients: ports.map((port) => ({ address: HOSTS[family].server, port })),
    netns: lab.server.inode,
  };
}

/** The server translates the port that clients dial to another. */
function translate(lab: Lab, family: Family, settings: Record<string, number> = {}): void {
  const to = `tcp dport ${PORT} redirect to :${OTHER_PORT}`;
  rules(lab.server, family, `chain there { type nat hook prerouting priority -100; ${to}; }`);
  lab.server.sysctl({ 'net.netfilter.nf_conntrack_tcp_loose': 0, ...settings });
}

/** Translated connections whose entries `end` ends, before the clients go on. */
function ended(lab: Lab, { times, family }: Options, end: (pairs: Pair[]) => void): Made {
  const listener = listen(lab, family, OTHER_PORT, times);
  const server = { address: HOSTS[family].server, port: PORT };
  const clients = dial(lab, lab.client, server, times);
  const pairs = accept(listener, clients);
  listener.close();
  const ends = clients.map(localOf);
  end(pairs);
  say(clients, 'anybody there?');
  awaitAll(clients, POLLERR, 'a reset');
  for (const { client } of pairs) client.close();
  closeUnheard(pairs.map((pair) => pair.server));
  return { server, clients: ends, netns: lab.server.inode };
}

/** What continues each connection comes from another end than it was dialled at. */
function notTranslated(lab: Lab, { times, family }: Options, ahead_bytes: number): Made {
  using stranger = new Stranger(lab, family);
  const { server: address, nowhere } = HOSTS[family];
  const vip = { address: nowhere, port: PORT };
  const clients = lab.ports(times).map((port) => ({ address, port }));
  const sockets = clients.map((client) => shareFrom(lab, lab.server, client, vip));
  for (const syn of stranger.receive(TCP_FLAG.syn, times)) stranger.reply(syn, SYN_ACK, { seq: 1 });
  const lasts = stranger.receive(TCP_FLAG.ack, times);
  for (const last of lasts)
    stranger.reply(last, TCP_FLAG.ack, { sport: OTHER_PORT, seq: last.ack + ahead_bytes });
  stranger.receive(TCP_FLAG.rst, times);
  for (const last of lasts) stranger.reply(last, TCP_FLAG.rst | TCP_FLAG.ack);
  for (const socket of sockets) socket.close();
  return { server: { address: nowhere, port: OTHER_PORT }, clients, netns: lab.server.inode };
}

function invalidOnes(lab: Lab, options: Options): Made {
  const invalid = () => tracked(lab.server, 'invalid');
  const before = invalid();
  const made = strays(lab, options);
  until('the segments to be dropped', () => invalid() - before >= options.times);
  return made;
}

/** With the same ends as conntrack-invalid, which would stand for it just after. */
const regardless: ScenarioEntry = {
  id: 'netfilter-drop/regardless',
  title: 'a rule drops what is INVALID, as it would drop anything',
  ownerless: true,
  commands: ['nft'],
  says: () => ({ rule: `tcp dport ${PORT} drop` }),
  prepare(lab, { family }) {
    const drop = `ct state new accept; tcp dport ${PORT} drop;`;
    rules(lab.server, family, `chain input { type filter hook input priority 0; ${drop} }`);
    lab.server.sysctl({ 'net.netfilter.nf_conntrack_tcp_loose': 0 });
  },
  run: invalidOnes,
};

const conntrackInvalid: ScenarioEntry[] = [
  {
    id: 'conntrack-invalid',
    title: 'a rule drops what connection tracking takes for no part of a connection',
    ownerless: true,
    commands: ['nft'],
    says: () => ({ kind: 'dropped', rule: 'ct state invalid counter drop', hook: 'input' }),
    prepare(lab, { family }) {
      const drop = 'ct state invalid counter drop;';
      rules(lab.server, family, `chain input { type filter hook input priority 0; ${drop} }`);
      lab.server.sysctl({ 'net.netfilter.nf_conntrack_tcp_loose': 0 });
    },
    run: invalidOnes,
  },
  {
    id: 'conntrack-invalid/notrack',
    title: 'a rule drops what is INVALID because another does not let SYNs be tracked',
    ownerless: true,
    commands: ['nft'],
    says: () => ({
      kind: 'dropped',
      rule: 'ct state invalid drop',
      untracked_by: [/raw \(tcp dport 443 tcp flags syn notrack\)$/],
      untracked_surely: true,
    }),
    prepare(lab, { family }) {
      rules(
        lab.server,
        family,
        `chain raw { type filter hook prerouting priority -300; tcp dport ${PORT} tcp flags syn notrack; }
        chain input { type filter hook input priority 0; ct state invalid drop; }`,
      );
      lab.server.sysctl({ 'net.netfilter.nf_conntrack_tcp_loose': 0 });
    },
    run: invalidOnes,
  },
  {
    id: 'conntrack-invalid/notrack-out',
    title: 'a rule drops the answers to SYNs that another does not let be tracked',
    ownerless: true,
    commands: ['nft'],
    says: () => ({
      kind: 'dropped',
      flags: 'SA',
      untracked_by: [/raw \(tcp dport 443 notrack\)$/],
      untracked_surely: true,
    }),
    prepare(lab, { family }) {
      rules(
        lab.server,
        family,
        `chain raw { type filter hook output priority -300; tcp dport ${PORT} notrack; }
        chain input { type filter hook input priority 0; ct state invalid drop; }`,
      );
    },
    run(lab, options) {
      const invalid = () => tracked(lab.server, 'invalid');
      const before = invalid();
      const made = pushed(lab, options, SYN_ACK);
      until('the segments to be dropped', () => invalid() - before >= options.times);
      return made;
    },
  },
  {
    id: 'conntrack-invalid/new',
    title: 'a rule drops what is new to connection tracking in the middle of its connection',
    ownerless: true,
    commands: ['nft'],
    says: () => ({ kind: 'dropped', is_new: true, hook: 'input' }),
    prepare: (lab) => rule(lab, PORT, 'ct state new drop'),
    run(lab, options) {
      const before = hits(lab);
      const made = strays(lab, options);
      until('the segments to meet the rule', () => hits(lab) - before >= options.times);
      return made;
    },
  },
  {
    id: 'conntrack-invalid/rejected',
    title: 'a rule rejects what is new to connection tracking in the middle of its connection',
    ownerless: true,
    commands: ['nft'],
    says: () => ({ kind: 'dropped', is_new: true, hook: 'input', answer: 'a reset' }),
    prepare: (lab) => rule(lab, PORT, 'ct state new reject with tcp reset'),
    run(lab, options) {
      const before = hits(lab);
      const made = strays(lab, options);
      until('the segments to meet the rule', () => hits(lab) - before >= options.times);
      return made;
    },
  },
  {
    id: 'conntrack-invalid/forgotten',
    title: 'segments of connections that connection tracking of the host has forgotten',
    ownerless: true,
    commands: ['nft'],
    says: () => ({ kind: 'forgotten', idle_timeout_s: 432_000 }),
    prepare(lab, { family }) {
      rules(lab.server, family, `chain input { type filter hook input priority 0; ${track} }`);
      lab.server.sysctl({ 'net.netfilter.nf_conntrack_tcp_loose': 0 });
    },
    run(lab, options) {
      const resets = growth(lab.server, 'Tcp', 'OutRsts');
      const made = strays(lab, options);
      until('the segments to be reset', () => resets() >= options.times);
      return made;
    },
  },
  {
    id: 'conntrack-invalid/flushed',
    title: 'segments of connections whose entries were removed from connection tracking',
    ownerless: true,
    commands: ['nft'],
    says: () => ({ kind: 'forgotten', idle_timeout_s: 432_000, half_closed_timeout_s: 60 }),
    prepare: (lab, { family }) => translate(lab, family),
    run: (lab, options) => ended(lab, options, () => flush(lab.server)),
  },
  {
    id: 'conntrack-invalid/half-closed',
    title: 'segments of half-closed connections that connection tracking has forgotten',
    ownerless: true,
    commands: ['nft'],
    says: () => ({ kind: 'forgotten', half_closed_timeout_s: 1 }),
    prepare: (lab, { family }) =>
      translate(lab, family, {
        'net.netfilter.nf_conntrack_tcp_timeout_fin_wait': 1,
        'net.netfilter.nf_conntrack_tcp_timeout_close_wait': 1,
      }),
    run: (lab, options) =>
      ended(lab, options, (pairs) => {
        for (const { server } of pairs) must(server.shutdown('write'), 'shutdown');
        for (const { client } of pairs) awaitAll([client], POLLIN, 'the end of a stream');
        pairs[0]?.server.poll(POLLIN, FORGOTTEN_MS);
      }),
  },
  {
    id: 'conntrack-invalid/taken-up',
    title: 'segments to a host that translates for others, and begins anew with them',
    // Before, what comes for this host over IPv6 has lost its entry when TCP gets it.
    knows_ipv6: 'BPF_FUNC_sys_bpf',
    ownerless: true,
    commands: ['nft'],
    says: () => ({ kind: 'forgotten' }),
    prepare: (lab, { family }) =>
      rules(
        lab.server,
        family,
        'chain there { type nat hook prerouting priority -100; tcp dport 1 redirect to :2; }',
      ),
    run(lab, options) {
      const resets = growth(lab.server, 'Tcp', 'OutRsts');
      const made = pushed(lab, options);
      until('the segments to be reset', () => resets() >= options.times);
      return made;
    },
  },
  {
    id: 'conntrack-invalid/not-translated',
    title: 'segments of a balanced connection come from the end behind the balancer',
    says: () => ({ kind: 'not translated' }),
    run: (lab, options) => notTranslated(lab, options, 50_000_000),
  },
  {
    id: 'conntrack-invalid/hop-forgot',
    title: 'what comes next on a balanced connection comes from the end behind the balancer',
    says: () => ({ kind: 'not translated' }),
    run: (lab, options) => notTranslated(lab, options, 0),
  },
];

export default [regardless, ...conntrackInvalid] satisfies ScenarioEntry[];
