// SPDX-License-Identifier: Apache-2.0

import type { Socket } from '../../native/sockets.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { shareFrom } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import type { Segment } from '../segment.ts';
import { FIN_ACK, Stranger, SYN_ACK } from '../stranger.ts';
import { HOSTS } from '../wiring.ts';

const DIRECT_PORT = 3269;
const BALANCED_PORT = 3306;
/** First sequence numbers of the two ways: neither is in the other's window. */
const DIRECT_ISN = 914_414_059;
const BALANCED_ISN = 2_918_345_428;

interface Way {
  socket: Socket;
  /** What the client sent last. */
  last: Segment;
}

/** Sends such a segment on each of the balancer's connections; `segment` gets what the direct one sent last. */
export function crossed(
  lab: Lab,
  { times, family }: Options,
  segment: (direct: Segment) => Partial<Segment>,
): Made {
  using stranger = new Stranger(lab, family);
  const { server: address, nowhere } = HOSTS[family];
  const clients = lab.ports(times).map((port) => ({ address, port }));
  const open = (dport: number, seq: number): Way[] =>
    clients.map((client) => {
      const socket = shareFrom(lab, lab.server, client, { address: nowhere, port: dport });
      const [syn] = stranger.receive(TCP_FLAG.syn, 1);
      if (syn) stranger.reply(syn, SYN_ACK, { seq });
      const [last] = stranger.receive(TCP_FLAG.ack, 1);
      if (!last) throw new Error('no connection');
      return { socket, last };
    });
  const direct = open(DIRECT_PORT, DIRECT_ISN);
  const balanced = open(BALANCED_PORT, BALANCED_ISN);
  for (const { last } of direct)
    stranger.send({ flags: 0, ...segment(last), sport: BALANCED_PORT, dport: last.sport });
  hangUpWith(stranger, [...direct, ...balanced]);
  return { server: { address: nowhere, port: BALANCED_PORT }, clients, netns: lab.server.inode };
}

function hangUpWith(stranger: Stranger, ways: Way[]): void {
  for (const { socket } of ways) socket.close();
  const fins = stranger.receive(FIN_ACK, ways.length);
  for (const fin of fins) stranger.reply(fin, FIN_ACK);
  stranger.receive(TCP_FLAG.ack, ways.length);
}

export default [
  {
    id: 'crossed-reply',
    title: 'a balancer answers with the resets of another connection of the same local port',
    run: (lab, options) => crossed(lab, options, ({ ack }) => ({ flags: TCP_FLAG.rst, seq: ack })),
  },
] satisfies ScenarioEntry[];
