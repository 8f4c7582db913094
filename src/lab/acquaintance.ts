// SPDX-License-Identifier: Apache-2.0

import { must, POLLIN, type Socket } from '../native/sockets.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import { awaitAll, listen } from './connections.ts';
import type { Lab } from './lab.ts';
import type { Made, Options } from './scenario.ts';
import type { Segment } from './segment.ts';
import { FIN_ACK, Stranger, SYN_ACK } from './stranger.ts';
import { HOSTS } from './wiring.ts';

/** Connections that a stranger has with the lab's server. */
export interface Acquaintance {
  stranger: Stranger;
  /** What the server answered to each SYN. */
  synAcks: Segment[];
  /** The server's sockets, in the order in which it accepted them. */
  sockets: Socket[];
  made: Made;
  [Symbol.dispose](): void;
}

/** Connects a stranger from so many ports; `clock` is its TSval. The third ACKs come after `first`. */
export function meet(
  lab: Lab,
  { times, family }: Options,
  port: number,
  clock: number | null = null,
  first: (stranger: Stranger, synAcks: Segment[]) => void = () => {},
): Acquaintance {
  const stranger = new Stranger(lab, family);
  stranger.clock = clock;
  const listener = listen(lab, family, port, times);
  const ports = lab.ports(times);
  stranger.sendSyns(port, ports);
  const synAcks = stranger.receive(SYN_ACK, times);
  first(stranger, synAcks);
  for (const synAck of synAcks) stranger.reply(synAck, TCP_FLAG.ack);
  const sockets = synAcks.map(() => {
    awaitAll([listener], POLLIN, 'a connection to accept');
    return must(listener.accept(), 'accept').socket;
  });
  return {
    stranger,
    synAcks,
    sockets,
    made: {
      server: { address: HOSTS[family].server, port },
      clients: ports.map((own) => ({ address: stranger.address, port: own })),
      netns: lab.server.inode,
    },
    [Symbol.dispose]() {
      stranger[Symbol.dispose]();
      listener.close();
    },
  };
}

/** Ends them in the ordinary way; the server closes first, so that TIME_WAIT is on its side. */
export function part({ stranger, sockets }: Acquaintance): void {
  for (const socket of sockets) socket.close();
  const fins = stranger.receive(FIN_ACK, sockets.length);
  for (const fin of fins) stranger.reply(fin, FIN_ACK);
  stranger.receive(TCP_FLAG.ack, fins.length);
}
