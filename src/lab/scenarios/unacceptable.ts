// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../../tcp/flags.ts';
import { meet, part } from '../acquaintance.ts';
import { dial, localOf } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { RST_ACK, Stranger, SYN_ACK } from '../stranger.ts';

const PORT = 3270;
const BEYOND = 1 << 20;

/** Connects that are answered with these flags, and an acknowledgement of something else. */
function answered(lab: Lab, { times, family }: Options, flags: number): Made {
  using stranger = new Stranger(lab, family);
  const server = { address: stranger.address, port: PORT };
  const sockets = dial(lab, lab.server, server, times);
  const clients = sockets.map(localOf);
  for (const syn of stranger.receive(TCP_FLAG.syn, times))
    stranger.reply(syn, flags, { seq: 1, ack: syn.seq + BEYOND });
  stranger.receive(TCP_FLAG.rst, times);
  for (const socket of sockets) socket.close();
  return { server, clients, netns: lab.server.inode };
}

/** Connects whose SYN is answered with these flags; each goes on, and is given up here. */
function refused(lab: Lab, { times, family }: Options, flags: number): Made {
  using stranger = new Stranger(lab, family);
  const server = { address: stranger.address, port: PORT };
  const sockets = dial(lab, lab.server, server, times);
  const clients = sockets.map(localOf);
  for (const syn of stranger.receive(TCP_FLAG.syn, times))
    stranger.reply(syn, flags, { seq: 0, ack: syn.seq + BEYOND, window: 0 });
  // Sent again: it was not believed.
  stranger.receive(TCP_FLAG.syn, times);
  for (const socket of sockets) socket.close();
  return { server, clients, netns: lab.server.inode };
}

const unacceptable: ScenarioEntry[] = [
  {
    id: 'synack-unacceptable',
    beside: ['connect-given-up'],
    title: 'SYN-ACKs that acknowledge what was not sent',
    says: () => ({ answer: 'SYN-ACK', wrong: 'acknowledgement' }),
    run: (lab, options) => answered(lab, options, SYN_ACK),
  },
  {
    id: 'synack-unacceptable/ack',
    beside: ['connect-given-up'],
    title: 'connects that a host answers for an older connection of the same ports',
    says: () => ({ answer: 'ACK', wrong: 'acknowledgement' }),
    run: (lab, options) => answered(lab, options, TCP_FLAG.ack),
  },
  {
    id: 'reset-rejected/connect',
    beside: ['connect-given-up'],
    title: 'connects that are answered with a reset which acknowledges something else',
    knows: 'rx_sk',
    says: () => ({ connecting: true, challenged: false, flags: 'RA' }),
    run: (lab, options) => refused(lab, options, RST_ACK),
  },
  {
    id: 'reset-rejected/connect-bare',
    beside: ['connect-given-up'],
    title: 'connects that are answered with a reset which acknowledges nothing',
    knows: 'rx_sk',
    says: () => ({ connecting: true, acknowledges: null }),
    run: (lab, options) => refused(lab, options, TCP_FLAG.rst),
  },
  {
    id: 'ack-unacceptable',
    title: 'segments of open connections that acknowledge what was not sent',
    drop_reason: 'TCP_ACK_UNSENT_DATA',
    says: () => ({ kernel_reason: 'TCP_ACK_UNSENT_DATA', reset: false }),
    run(lab, options) {
      using met = meet(lab, options, PORT);
      const { stranger } = met;
      for (const synAck of met.synAcks)
        stranger.reply(synAck, TCP_FLAG.ack, { ack: synAck.seq + BEYOND });
      part(met);
      return met.made;
    },
  },
];

export default [...unacceptable] satisfies ScenarioEntry[];
