// SPDX-License-Identifier: Apache-2.0

import { must } from '../../native/sockets.ts';
import { meet, part } from '../acquaintance.ts';
import { growth } from '../connections.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { PSH_ACK } from '../stranger.ts';
import { until } from '../until.ts';

const PORT = 8080;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SMALL_BYTES = 1;
const LARGE_BYTES = 65_536;
const SEGMENT = Buffer.alloc(1000, 'x');
const BYTE = Buffer.from('x');
/** Many more than any kernel lets wait with buffers that small. */
const MOST_WAITING = 1000;

/** Of whom only one was met. */
function only({ synAcks: [synAck], sockets: [socket] }: ReturnType<typeof meet>) {
  if (!synAck || !socket) throw new Error('nobody was met');
  return { synAck, socket };
}

export default [
  {
    id: 'receive-buffer-full',
    title: 'data for sockets whose receive buffer was made smaller than what waits in it',
    drop_reason: 'PROTO_MEM',
    says: () => ({ unread_bytes: 10 * SEGMENT.length, payload_bytes: 1 }),
    run(lab, options) {
      using met = meet(lab, options, PORT);
      const { stranger, sockets, synAcks } = met;
      const refused = growth(lab.server, 'TcpExt', 'TCPRcvQDrop');
      const ahead = 10 * SEGMENT.length;
      for (const synAck of synAcks) {
        for (let sent = 0; sent < ahead; sent += SEGMENT.length)
          stranger.reply(synAck, PSH_ACK, { seq: synAck.ack + sent, payload: SEGMENT });
      }
      for (const socket of sockets)
        must(socket.setsockopt(SOL_SOCKET, SO_RCVBUF, SMALL_BYTES), 'setsockopt');
      // With another window, so that the kernel looks closer than at one like those before.
      for (const synAck of synAcks)
        stranger.reply(synAck, PSH_ACK, { seq: synAck.ack + ahead, payload: BYTE, window: 1000 });
      until('the last bytes to be dropped', () => refused() >= options.times);
      for (const socket of sockets) must(socket.recv(), 'recv');
      part(met);
      return met.made;
    },
  },
  {
    id: 'receive-buffer-full/out-of-order',
    title: 'data that waits for a segment that is missing, until there is no room for more',
    drop_reason: 'PROTO_MEM',
    // Before 6.2 room is made for it, at the cost of many others; this name is of 6.11.
    knows: 'rx_sk',
    says: () => ({ unread_bytes: 0, payload_bytes: 1 }),
    run(lab, { times, family }) {
      using met = meet(lab, { times: 1, family }, PORT);
      const { synAck, socket } = only(met);
      const dropped = growth(lab.server, 'TcpExt', 'TCPOFODrop');
      must(socket.setsockopt(SOL_SOCKET, SO_RCVBUF, SMALL_BYTES), 'setsockopt');
      let at = synAck.ack;
      const send = () => {
        at += 2;
        met.stranger.reply(synAck, PSH_ACK, { seq: at, payload: BYTE });
      };
      for (let sent = 0; dropped() < times && sent < MOST_WAITING; sent++) send();
      // Room for the FIN, for which the kernel would throw others away.
      must(socket.setsockopt(SOL_SOCKET, SO_RCVBUF, LARGE_BYTES), 'setsockopt');
      part(met);
      return met.made;
    },
  },
  {
    id: 'socket-backlog-full',
    title: 'data for a socket that its process holds, and for which enough waits already',
    drop_reason: 'SOCKET_BACKLOG',
    // Before 6.11 the kernel tells neither whose segment it was nor in which namespace.
    knows: 'rx_sk',
    says: () => ({ payload_bytes: SEGMENT.length }),
    run(lab, { times, family }) {
      using met = meet(lab, { times: 1, family }, PORT);
      const { synAck, socket } = only(met);
      const refused = growth(lab.server, 'TcpExt', 'TCPBacklogDrop');
      for (const buffer of [SO_RCVBUF, SO_SNDBUF])
        must(socket.setsockopt(SOL_SOCKET, buffer, SMALL_BYTES), 'setsockopt');
      // The same each time, which the kernel does not join.
      const send = () => met.stranger.reply(synAck, PSH_ACK, { payload: SEGMENT });
      send();
      {
        const { holder } = must(socket.hold(), 'hold');
        using _held = holder;
        for (let sent = 0; refused() === 0 && sent < MOST_WAITING; sent++) send();
        for (let more = 1; more < times; more++) send();
        until('the last ones to be dropped', () => refused() >= times);
      }
      until('the socket to be let go', () => must(socket.recv(), 'recv').data.length > 0);
      part(met);
      return met.made;
    },
  },
] satisfies ScenarioEntry[];
