// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../../tcp/flags.ts';
import { growth, listen } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { Stranger, SYN_ACK } from '../stranger.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 443;
const BACKLOG = 3;

/** Dials once the SYN queue is full, and lets `end` see to what becomes of it. */
function dialFull(lab: Lab, { times, family }: Options, end: (stranger: Stranger) => void): Made {
  using stranger = new Stranger(lab, family);
  using _listener = listen(lab, family, PORT, BACKLOG);
  stranger.sendSyns(PORT, lab.ports(BACKLOG + 1));
  stranger.receive(SYN_ACK, BACKLOG + 1);
  const clients = lab.ports(times);
  stranger.sendSyns(PORT, clients);
  end(stranger);
  return {
    server: { address: HOSTS[family].server, port: PORT },
    clients: clients.map((port) => ({ address: stranger.address, port })),
    netns: lab.server.inode,
  };
}

function flood(lab: Lab, options: Options, counter: string): Made {
  const moved = growth(lab.server, 'TcpExt', counter);
  return dialFull(lab, options, () => until(`${counter} to move`, () => moved() >= options.times));
}

/** Cookies of one client differ in their lowest bits and in the highest ones. */
const NO_COOKIE = 1 << 16;

/** Answers the cookies with numbers that are none. */
function answerWrongly(lab: Lab, options: Options): Made {
  return dialFull(lab, options, (stranger) => {
    for (const cookie of stranger.receive(SYN_ACK, options.times))
      stranger.reply(cookie, TCP_FLAG.ack, { ack: cookie.seq + 1 + NO_COOKIE });
    stranger.receive(TCP_FLAG.rst, options.times);
  });
}

const synQueueFull: ScenarioEntry = {
  id: 'syn-queue-full',
  title: 'half-open connections fill the SYN queue, and SYN cookies are off',
  prepare(lab) {
    // So large that its last quarter, kept for known peers, is far away.
    lab.server.sysctl({ 'net.ipv4.tcp_syncookies': 0, 'net.ipv4.tcp_max_syn_backlog': 4096 });
  },
  run: (lab, options) => flood(lab, options, 'TCPReqQFullDrop'),
};

const synCookies: ScenarioEntry = {
  id: 'syn-cookies',
  title: 'half-open connections fill the SYN queue: cookies are sent',
  prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_syncookies': 1 }),
  run: (lab, options) => flood(lab, options, 'SyncookiesSent'),
};

const synCookieRejected: ScenarioEntry = {
  id: 'syn-cookie-rejected',
  title: 'clients acknowledge numbers that are no cookies of the server',
  beside: ['syn-cookies'],
  prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_syncookies': 1 }),
  run: answerWrongly,
};

export default [synQueueFull, synCookies, synCookieRejected] satisfies ScenarioEntry[];
