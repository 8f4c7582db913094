// SPDX-License-Identifier: Apache-2.0

import { local } from '../../tcp/endpoint.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';

export default defineCause({
  id: 'self-connect',
  title: 'a socket connected to itself',
  severity: 'warning',
  explains:
    'A connect to a port of this host that nobody listens on was given that very port as its own, and is connected to itself.',
  seenAs: ['connect-error', 'wrong-peer'],
  packets: true,
  needs: ['state'],
  on: ['state_change'],
  match(event) {
    if (event.kind !== 'state_change') return null;
    const { old_state, new_state, sock } = event.body;
    if (old_state !== TCP_STATE.SYN_SENT || new_state !== TCP_STATE.SYN_RECV) return null;
    const { saddr, sport, daddr, dport } = sock.flow;
    if (saddr !== daddr || sport !== dport) return null;
    return {
      evidence: { end: local(sock.flow), netns: event.netns },
      basis: 'direct',
      subject: 'flow',
      where: local(sock.flow),
      flow: sock.flow,
      group: `${event.netns} ${saddr} ${sport}`,
      owner: ownerOf(sock.owner),
    };
  },
  summary({ end }) {
    return `a connect to ${end} is connected to itself: nobody listened there, and it was given that port as its own`;
  },
  advice({ end, netns }, { sport }) {
    return [
      `end it: the process holds port ${sport}, and the service of ${end} cannot bind it (EADDRINUSE) until it closes: \`${inNetns(netns, `ss -tnp 'sport = :${sport}'`)}\``,
      `keep the port from being given to clients: \`${inNetns(netns, `sysctl -w net.ipv4.ip_local_reserved_ports=${sport}`)}\` (with those that are there already: it replaces them), or let services use ports below ip_local_port_range`,
      'let the program close a socket whose getpeername() is its own getsockname()',
    ];
  },
});
