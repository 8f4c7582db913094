// SPDX-License-Identifier: Apache-2.0

import { meet, part } from '../acquaintance.ts';
import { growth } from '../connections.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { PSH_ACK } from '../stranger.ts';
import { until } from '../until.ts';

const PORT = 443;
/** With the header of TCP a multiple of 8, as the length of each fragment but the last has to be. */
const BEGINNING = Buffer.from('GET / HTTP/1.1\r\nX: y');

const fragmentLost: ScenarioEntry = {
  id: 'fragment-lost',
  title: 'data of open connections comes in fragments, of which only the first one arrives',
  families: [4],
  ownerless: true,
  drop_reason: 'FRAG_REASM_TIMEOUT',
  says: () => ({ drop_reason: 'FRAG_REASM_TIMEOUT', interface: 's0' }),
  prepare: (lab) => lab.server.sysctl({ 'net.ipv4.ipfrag_time': 1 }),
  run(lab, options) {
    using met = meet(lab, options, PORT);
    const { stranger } = met;
    const given_up = growth(lab.server, 'Ip', 'ReasmTimeout');
    for (const synAck of met.synAcks)
      stranger.reply(synAck, PSH_ACK, { payload: BEGINNING, fragment_of: synAck.dport });
    until('the fragments to be given up', () => given_up() >= options.times);
    part(met);
    return met.made;
  },
};

export default [fragmentLost] satisfies ScenarioEntry[];
