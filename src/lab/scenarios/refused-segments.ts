// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../../tcp/flags.ts';
import { type Acquaintance, meet, part } from '../acquaintance.ts';
import { awaitReset } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { FIN_ACK, PSH_ACK, RST_ACK } from '../stranger.ts';

const PORT = 3269;
/** Timestamps of two hosts that arrive as one. */
const CLOCK = 2_088_983_548;
const OLDER_CLOCK = 271_344_470;
const BEYOND = 1 << 30;
/** Bytes; far within any window. */
const AHEAD = 1000;
const PAYLOAD = Buffer.from('select 1');

/** SYNs from the ports that it has used before, with an initial sequence number so far ahead. */
function dialAgain({ stranger, synAcks }: Acquaintance, ahead = BEYOND): void {
  for (const { ack, dport: sport } of synAcks)
    stranger.send({
      ...{ sport, dport: PORT, flags: TCP_FLAG.syn, window: 65535 },
      seq: (ack + ahead) >>> 0,
    });
}

/** Sends resets that are so many bytes ahead, and hears so many challenge ACKs. */
function resetElsewhere(lab: Lab, options: Options, ahead: number, challenges: number): Made {
  using met = meet(lab, options, PORT, CLOCK);
  const { stranger } = met;
  for (const synAck of met.synAcks)
    stranger.reply(synAck, TCP_FLAG.rst, { seq: synAck.ack + ahead, ack: 0, window: 0 });
  stranger.receive(TCP_FLAG.ack, challenges);
  // What comes next in the ordinary way shows that they are open still.
  part(met);
  return met.made;
}

export default [
  {
    id: 'timewait-paws',
    title: 'behind one address a second host uses ports that a first one has just used',
    ownerless: true,
    run(lab, options) {
      using met = meet(lab, options, PORT, CLOCK);
      const { stranger } = met;
      part(met);
      stranger.clock = OLDER_CLOCK;
      dialAgain(met);
      stranger.receive(TCP_FLAG.ack, options.times);
      return met.made;
    },
  },
  {
    id: 'timewait-paws/number',
    title: 'the same without timestamps, and the numbers of the second host are lower',
    ownerless: true,
    says: () => ({ tsval: null, remembered_tsval: null }),
    run(lab, options) {
      using met = meet(lab, options, PORT);
      part(met);
      dialAgain(met, -BEYOND);
      met.stranger.receive(TCP_FLAG.ack, options.times);
      return met.made;
    },
  },
  {
    id: 'syn-on-live-connection/half-closed',
    title:
      'the server had closed, its clients had not, and their ports are used again: refused with a reset',
    ownerless: true,
    says: () => ({ state: 'FIN_WAIT2', answer: 'reset' }),
    run(lab, options) {
      using met = meet(lab, options, PORT);
      const { stranger, sockets } = met;
      for (const socket of sockets) socket.close();
      for (const fin of stranger.receive(FIN_ACK, sockets.length))
        stranger.reply(fin, TCP_FLAG.ack);
      dialAgain(met, AHEAD);
      stranger.receive(RST_ACK, options.times);
      return met.made;
    },
  },
  {
    id: 'syn-on-live-connection',
    title: 'clients dial again from ports whose connections are still open here',
    run(lab, options) {
      using met = meet(lab, options, PORT);
      const { stranger } = met;
      dialAgain(met);
      stranger.receive(TCP_FLAG.ack, options.times);
      part(met);
      return met.made;
    },
  },
  {
    id: 'syn-on-live-connection/leaked',
    beside: ['reset-by-peer'],
    title: 'the same where the clients had closed, the server has not, and its answer is reset',
    says: () => ({ state: 'CLOSE_WAIT' }),
    run(lab, options) {
      using met = meet(lab, options, PORT);
      const { stranger, synAcks, sockets } = met;
      for (const synAck of synAcks) stranger.reply(synAck, FIN_ACK);
      stranger.receive(TCP_FLAG.ack, options.times);
      dialAgain(met);
      for (const challenge of stranger.receive(TCP_FLAG.ack, options.times))
        stranger.reply(challenge, TCP_FLAG.rst, { ack: 0, window: 0 });
      awaitReset(sockets, 'EPIPE');
      return met.made;
    },
  },
  {
    id: 'paws-established',
    title: 'data of open connections arrives with older timestamps',
    run(lab, options) {
      using met = meet(lab, options, PORT, CLOCK);
      const { stranger } = met;
      stranger.clock = OLDER_CLOCK;
      for (const synAck of met.synAcks) stranger.reply(synAck, PSH_ACK, { payload: PAYLOAD });
      stranger.receive(TCP_FLAG.ack, options.times);
      stranger.clock = CLOCK;
      part(met);
      return met.made;
    },
  },
  {
    id: 'tsecr-rejected',
    title: 'third ACKs that echo a timestamp that was never sent, and are sent again rightly',
    drop_reason: 'TCP_RFC7323_TSECR',
    run(lab, options) {
      const timestamps = { tsval: CLOCK, tsecr: OLDER_CLOCK };
      using met = meet(lab, options, PORT, CLOCK, (stranger, synAcks) => {
        for (const synAck of synAcks) stranger.reply(synAck, TCP_FLAG.ack, { timestamps });
        stranger.receive(TCP_FLAG.ack, synAcks.length);
      });
      part(met);
      return met.made;
    },
  },
  {
    id: 'out-of-window',
    title: 'data of open connections arrives with sequence numbers far beyond the window',
    run(lab, options) {
      using met = meet(lab, options, PORT, CLOCK);
      const { stranger } = met;
      for (const synAck of met.synAcks)
        stranger.reply(synAck, PSH_ACK, { seq: synAck.ack + BEYOND, payload: PAYLOAD });
      stranger.receive(TCP_FLAG.ack, options.times);
      part(met);
      return met.made;
    },
  },
  {
    id: 'reset-rejected',
    title: 'resets of open connections arrive with a number that is not the next one',
    run: (lab, options) => resetElsewhere(lab, options, AHEAD, options.times),
  },
  {
    id: 'reset-rejected/out-of-window',
    title: 'the same with numbers far beyond the window',
    run: (lab, options) => resetElsewhere(lab, options, BEYOND, 0),
  },
] satisfies ScenarioEntry[];
