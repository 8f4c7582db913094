// SPDX-License-Identifier: Apache-2.0

import { type Address, must, POLLIN, POLLRDHUP } from '../../native/sockets.ts';
import type { Family } from '../../tcp/address.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { meet } from '../acquaintance.ts';
import {
  accept,
  awaitAll,
  awaitReset,
  closeUnheard,
  connect,
  dial,
  listen,
  localOf,
  type Pair,
  say,
} from '../connections.ts';
import type { Lab } from '../lab.ts';
import { bracketed, redirect, routeVip, table } from '../nat.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { frame, parseFrame } from '../segment.ts';
import { ETH_P_ALL, FIN_ACK, PSH_ACK, RST_ACK, Stranger, SYN_ACK } from '../stranger.ts';
import { HOSTS, MAC } from '../wiring.ts';

export default [
  {
    id: 'reset-by-peer',
    title: 'another host resets open connections',
    info: true,
    says: () => ({ unused: true, by_client: true }),
    run: (lab, options) => resetFromOutside(lab, options, 3306),
  },
  {
    id: 'reset-by-peer/high-port',
    title: 'the same where the service’s port is above those of its clients',
    info: true,
    run: (lab, options) => resetFromOutside(lab, options, 65_306),
  },
  {
    id: 'reset-by-peer/on-the-way',
    // A listener takes an ACK for a SYN cookie’s too in the sixth minute that the kernel is up.
    beside: ['connection-unknown', 'syn-cookie-rejected'],
    title: 'a box on the way resets the server only, and the clients go on to send',
    says: () => ({ reset_ttl: BOX_TTL }),
    run: resetOnTheWay,
  },
  {
    id: 'reset-by-peer/another-host',
    // What the clients send then is for the other host.
    beside: ['wrong-mac'],
    title: 'another host takes the server’s address over, and resets open connections',
    knows: 'bpf_iter_num',
    says: ({ family }) => ({
      moved: { address: HOSTS[family].server, mac: OTHER_MAC, mac_was: MAC.server },
    }),
    prepare: (lab, { family }) => atMac(lab, family, MAC.server),
    run: resetByAnother,
  },
  {
    id: 'reset-by-peer/redirected',
    title: 'the client’s own NAT sends its connections to a host that resets them',
    tier: 'tracepoints',
    commands: ['nft'],
    says: ({ family }) => ({
      peer: endpoint(HOSTS[family].vip, VIP_PORT),
      redirected_to: endpoint(HOSTS[family].server, TARGET_PORT),
    }),
    prepare(lab, { family }) {
      const { vip, server } = HOSTS[family];
      const match = `${table(family)} daddr ${vip} tcp dport ${VIP_PORT}`;
      redirect(lab.client, family, match, `dnat to ${bracketed(family, server, TARGET_PORT)}`);
      routeVip(lab, family);
    },
    run: resetByTarget,
  },
  {
    id: 'reset-by-peer/after-fin',
    title: 'a server goes on to send when another host has closed',
    says: () => ({ peer_had_closed: true, unacked_bytes: 8 }),
    run: sentAfterFin,
  },
] satisfies ScenarioEntry[];

/** A host that is not there. */
const OTHER_MAC = '02:00:00:00:00:12';

/** Where the client has the server. */
function atMac(lab: Lab, family: Family, mac: string): void {
  lab.client.ip(`neigh replace ${HOSTS[family].server} lladdr ${mac} dev c0 nud reachable`);
}

function resetByAnother(lab: Lab, options: Options): Made {
  const { family } = options;
  const server = { address: HOSTS[family].server, port: 3308 };
  const pairs = connect(lab, options, server.port);
  const clients = resetAll(lab, options, pairs, OTHER_MAC, () => atMac(lab, family, OTHER_MAC));
  return { server, clients, netns: lab.client.inode };
}

const VIP_PORT = 443;
const TARGET_PORT = 3310;

function resetByTarget(lab: Lab, options: Options): Made {
  const { family, times } = options;
  const server = { address: HOSTS[family].vip, port: VIP_PORT };
  const listener = listen(lab, family, TARGET_PORT, times);
  const pairs = accept(listener, dial(lab, lab.client, server, times));
  listener.close();
  const clients = resetAll(lab, options, pairs, MAC.server);
  return { server, clients, netns: lab.client.inode };
}

/** From this MAC, in the name of the server, which knows nothing of it. Returns where they were. */
function resetAll(
  lab: Lab,
  { family, times }: Options,
  pairs: Pair[],
  from: string,
  before = () => {},
): Address[] {
  const { client: here, server: there } = HOSTS[family];
  const clients = pairs.map(({ client }) => client);
  const ends = clients.map(localOf);
  const ear = lab.socket(lab.server, { type: 'packet', protocol: ETH_P_ALL });
  before();
  say(clients, 'select 1');
  const heard = new Set<number>();
  while (heard.size < times) {
    awaitAll([ear], POLLIN, 'what the clients send');
    const sent = parseFrame(must(ear.recv()).data, there);
    if (sent?.flags !== PSH_ACK || heard.has(sent.sport)) continue;
    heard.add(sent.sport);
    const reset = {
      ...{ sport: sent.dport, dport: sent.sport, seq: sent.ack, ack: 0, flags: TCP_FLAG.rst },
      ...{ window: 0, payload: Buffer.alloc(0), timestamps: null },
    };
    const macs = { from, to: MAC.client };
    must(ear.sendPacket('s0', frame(there, here, reset, macs)), 'sendPacket');
  }
  awaitReset(clients, 'ECONNRESET');
  // The server hears nothing of it, and shall say nothing more.
  closeUnheard(pairs.map((pair) => pair.server));
  ear.close();
  return ends;
}

function sentAfterFin(lab: Lab, options: Options): Made {
  using met = meet(lab, options, 3309);
  const { stranger, synAcks, sockets } = met;
  for (const synAck of synAcks) stranger.reply(synAck, FIN_ACK);
  awaitAll(sockets, POLLRDHUP, 'the end of the stream');
  say(sockets, 'select 1');
  for (const data of stranger.receive(PSH_ACK, options.times))
    stranger.reply(data, TCP_FLAG.rst, { ack: 0, window: 0 });
  awaitReset(sockets, 'EPIPE');
  return met.made;
}

/** The clients’ own segments come with 64. */
const BOX_TTL = 57;

function resetOnTheWay(lab: Lab, options: Options): Made {
  using met = meet(lab, options, 3307);
  const { stranger, synAcks } = met;
  for (const synAck of synAcks)
    stranger.reply(synAck, TCP_FLAG.rst, { ack: 0, window: 0, ttl: BOX_TTL });
  awaitReset(met.sockets, 'ECONNRESET');
  for (const synAck of synAcks)
    stranger.reply(synAck, PSH_ACK, { payload: Buffer.from('select 1') });
  stranger.receive(TCP_FLAG.rst, options.times);
  return met.made;
}

function resetFromOutside(lab: Lab, { times, family }: Options, port: number): Made {
  using stranger = new Stranger(lab, family);
  using listener = listen(lab, family, port, times);
  const clients = lab.ports(times);
  stranger.sendSyns(port, clients);
  const synAcks = stranger.receive(SYN_ACK, times);
  for (const synAck of synAcks) stranger.reply(synAck, TCP_FLAG.ack);
  const accepted = synAcks.map(() => {
    awaitAll([listener], POLLIN, 'a connection to accept');
    return must(listener.accept(), 'accept').socket;
  });
  for (const synAck of synAcks) stranger.reply(synAck, RST_ACK, { window: 227 });
  awaitReset(accepted, 'ECONNRESET');
  return {
    server: { address: HOSTS[family].server, port },
    clients: clients.map((from) => ({ address: stranger.address, port: from })),
    netns: lab.server.inode,
    where: endpoint(HOSTS[family].server, port),
  };
}
