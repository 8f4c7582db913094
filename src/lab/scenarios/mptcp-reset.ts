// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../../tcp/flags.ts';
import { IPPROTO_MPTCP, listen } from '../connections.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { RST_ACK, Stranger } from '../stranger.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 8443;
/** Kind, length, MP_JOIN, the number of the address, a token that nobody gave, a nonce (RFC 8684, 3.2). */
const JOIN = Buffer.from([30, 12, 0x10, 1, 0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4]);

const mptcpReset: ScenarioEntry = {
  id: 'mptcp-reset',
  title: 'SYNs that shall be subflows of an MPTCP connection that is not there',
  needs: 'mptcp',
  knows: 'SK_RST_REASON_MPTCP_RST_EMPTCP',
  says: () => ({ joined: false, reset_reason: 'MPTCP_RST_EMPTCP' }),
  run(lab, { times, family }) {
    using stranger = new Stranger(lab, family);
    using _listener = listen(lab, family, PORT, times, { protocol: IPPROTO_MPTCP });
    const clients = lab.ports(times);
    for (const sport of clients)
      stranger.send({ sport, dport: PORT, flags: TCP_FLAG.syn, options: JOIN, window: 65535 });
    stranger.receive(RST_ACK, times);
    return {
      server: { address: HOSTS[family].server, port: PORT },
      clients: clients.map((port) => ({ address: stranger.address, port })),
      netns: lab.server.inode,
    };
  },
};

export default [mptcpReset] satisfies ScenarioEntry[];
