// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../../tcp/flags.ts';
import { meet, part } from '../acquaintance.ts';
import { listen } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import type { Segment } from '../segment.ts';
import { RST_ACK, Stranger } from '../stranger.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 443;
const NO_FLAGS = 0;

/** SYNs that are made wrong like that. */
function sent(
  lab: Lab,
  { times, family }: Options,
  malformed: NonNullable<Segment['malformed']>,
): Made {
  using stranger = new Stranger(lab, family);
  listen(lab, family, PORT, times);
  const clients = lab.ports(times);
  for (const sport of clients)
    stranger.send({ sport, dport: PORT, flags: TCP_FLAG.syn, window: 65535, malformed });
  return {
    server: { address: HOSTS[family].server, port: PORT },
    clients: clients.map((port) => ({ address: stranger.address, port })),
    netns: lab.server.inode,
  };
}

export default [
  {
    id: 'malformed-packet',
    title: 'SYNs that are shorter than their IP header says',
    ownerless: true,
    drop_reason: 'PKT_TOO_SMALL',
    says: () => ({ drop_reason: 'PKT_TOO_SMALL', interface: 's0' }),
    run: (lab, options) => sent(lab, options, 'ip_length'),
  },
  {
    id: 'malformed-packet/ip-checksum',
    title: 'SYNs with a wrong checksum of their IP header',
    families: [4],
    ownerless: true,
    drop_reason: 'IP_CSUM',
    says: () => ({ drop_reason: 'IP_CSUM', interface: 's0' }),
    run: (lab, options) => sent(lab, options, 'ip_checksum'),
  },
  {
    id: 'malformed-packet/no-flags',
    title: 'segments of open connections without any flag',
    drop_reason: 'TCP_FLAGS',
    says: () => ({ drop_reason: 'TCP_FLAGS', flags: '-' }),
    run(lab, options) {
      using met = meet(lab, options, PORT);
      for (const synAck of met.synAcks) met.stranger.reply(synAck, NO_FLAGS);
      part(met);
      return met.made;
    },
  },
  {
    id: 'malformed-packet/no-socket',
    title: 'segments without any flag to a port where nobody listens',
    ownerless: true,
    drop_reason: 'NO_SOCKET',
    says: () => ({ drop_reason: 'NO_SOCKET', flags: 'F' }),
    run(lab, { times, family }) {
      using stranger = new Stranger(lab, family);
      const clients = lab.ports(times);
      for (const sport of clients) stranger.send({ sport, dport: PORT, flags: TCP_FLAG.fin });
      stranger.receive(RST_ACK, times);
      return {
        server: { address: HOSTS[family].server, port: PORT },
        clients: clients.map((port) => ({ address: stranger.address, port })),
        netns: lab.server.inode,
      };
    },
  },
] satisfies ScenarioEntry[];
