// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import { remote } from '../../tcp/endpoint.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';

export default defineCause({
  id: 'ports-exhausted',
  title: 'no free local port for a connect',
  severity: 'error',
  explains:
    'connect() failed with EADDRNOTAVAIL: every port of ip_local_port_range is in use for that destination.',
  needs: ['state'],
  on: ['state_change'],
  match(event) {
    if (event.kind !== 'state_change') return null;
    const { old_state, new_state, sock, connect } = event.body;
    if (old_state !== TCP_STATE.SYN_SENT || new_state !== TCP_STATE.CLOSE) return null;
    // It was given no port.
    if (sock.flow.sport !== 0 || sock.err !== 0) return null;
    const { saddr, daddr, dport } = sock.flow;
    const first = connect?.first_port ?? 0;
    const last = connect?.last_port ?? 0;
    return {
      evidence: {
        dialled: remote(sock.flow),
        from: saddr,
        ip_local_port_range: connect ? `${first}-${last}` : null,
        ports_in_range: connect ? last - first + 1 : null,
        error: 'EADDRNOTAVAIL',
        netns: event.netns,
      },
      basis: 'direct',
      subject: 'host',
      where: remote(sock.flow),
      flow: sock.flow,
      group: `${event.netns} ${saddr} ${daddr} ${dport}`,
      owner: ownerOf(sock.owner),
    };
  },
  summary({ dialled, from, ip_local_port_range: range, ports_in_range }) {
    const all = range === null ? 'every port' : `all ${ports_in_range} ports (${range})`;
    return `no free port to connect ${from} to ${dialled}: ${all} of ip_local_port_range are in use for it`;
  },
  advice({ dialled, from, netns }, { daddr, dport }) {
    const filter = `dst ${bracketed(daddr)} and dport = :${dport}`;
    return [
      `who has them, and in which states (TIME-WAIT too)? \`${inNetns(netns, `ss -tanp '${filter}'`)}\``,
      `let the program keep connections to ${dialled} open and use them again (keep-alive, a pool); what it closes first stays in TIME-WAIT for 60 s`,
      `more ports: \`${inNetns(netns, 'sysctl net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports net.ipv4.tcp_tw_reuse')}\`: a wider range, fewer reserved; tcp_tw_reuse 1 lets connects take ports in TIME-WAIT after a second`,
      `or more addresses: each local address beside ${from} has the whole range for itself`,
    ];
  },
});
