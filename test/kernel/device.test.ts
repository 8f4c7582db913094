// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { listen } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { PSH_ACK, Stranger, SYN_ACK } from '../../src/lab/stranger.ts';
import { kernelEnums } from '../../src/native/binding.ts';
import { TCP_FLAG } from '../../src/tcp/flags.ts';
import { Running } from './tcpwhy.ts';

const SEGMENTS = 31;
const BYTES = 10;
const SPORT = 40_000;

interface Drop {
  kind: string;
  netns: number;
  drop: { packet: { device: string; flow: { dport: number } }; reason_name: string };
}

/**
 * Where skb->dev was, segments that wait for those before them have their place in a tree. Where the
 * kernel does not name their socket either, their namespace is not known. Before Linux 5.17 nothing tells
 * these drops from others.
 */
const { skb_drop_reason = {} } = kernelEnums(['skb_drop_reason']);
const toldApart = 'SKB_DROP_REASON_TCP_OFOMERGE' in skb_drop_reason;

it.runIf(toldApart).each([4, 6] as const)(
  'segments that came out of order are dropped at no device, IPv%s',
  async (family) => {
    const port = 8500 + family;
    await using tcpwhy = await Running.start(['trace', '--events', '--all', `:${port}`]);
    using lab = Lab.open();
    using listener = listen(lab, family, port, 1);
    using stranger = new Stranger(lab, family);
    stranger.send({ sport: SPORT, dport: port, flags: TCP_FLAG.syn, seq: 1, window: 65535 });
    const [answer] = stranger.receive(SYN_ACK, 1);
    if (!answer) throw new Error('no answer');
    stranger.reply(answer, TCP_FLAG.ack);
    const ack = answer.seq + 1;
    const send = (seq: number, bytes: number) =>
      stranger.send({
        ...{ sport: SPORT, dport: port, flags: PSH_ACK, window: 65535 },
        ...{ seq, ack, payload: Buffer.alloc(bytes, 'x') },
      });
    const first = 2 + BYTES;
    for (let i = 0; i < SEGMENTS; i++) send(first + 2 * BYTES * i, BYTES);
    // What begins where one does that is there and goes further takes its place in the tree.
    for (let i = 0; i < SEGMENTS; i++) send(first + 2 * BYTES * i, BYTES + 1);
    const drops = () =>
      tcpwhy.output.objects
        .map((line) => line as unknown as Drop)
        .filter(({ kind, drop }) => kind === 'drop' && drop.packet.flow.dport === port);
    await tcpwhy.until(() => drops().length >= SEGMENTS);
    expect(drops().map(({ drop }) => [drop.reason_name, drop.packet.device])).toEqual(
      Array.from({ length: SEGMENTS }, () => ['TCP_OFOMERGE', '']),
    );
    for (const { netns } of drops()) expect([0, lab.server.inode]).toContain(netns);
    listener.close();
  },
);
