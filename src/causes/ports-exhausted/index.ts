// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import { remote } from '../../tcp/endpoint.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import { defineCause } from '../define.ts';
import { CONNECT } from '../shared/denied.ts';
import { ERRNO } from '../shared/kernel.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';

export default defineCause({
  id: 'ports-exhausted',
  title: 'no free local port for a connect or a bind',
  severity: 'error',
  explains:
    'connect() failed with EADDRNOTAVAIL, or bind() to port 0 with EADDRINUSE: every port of ip_local_port_range is in use for that destination or address.',
  needs: ['state'],
  on: ['state_change', 'call_failed'],
  match(event) {
    const failed = failedFor(event);
    if (!failed) return null;
    const { sock, range, binds } = failed;
    const { saddr, daddr, dport } = sock.flow;
    const first = range?.first_port ?? 0;
    const last = range?.last_port ?? 0;
    return {
      evidence: {
        dialled: binds ? null : remote(sock.flow),
        from: saddr,
        ip_local_port_range: range ? `${first}-${last}` : null,
        ports_in_range: range ? last - first + 1 : null,
        error: binds ? 'EADDRINUSE' : 'EADDRNOTAVAIL',
        netns: event.netns,
      },
      basis: 'direct',
      subject: 'host',
      where: binds ? saddr : remote(sock.flow),
      flow: sock.flow,
      group: binds ? `${event.netns} bind ${saddr}` : `${event.netns} ${saddr} ${daddr} ${dport}`,
      owner: ownerOf(sock.owner),
    };
  },
  summary({ dialled, from, ip_local_port_range: range, ports_in_range }) {
    const all = range === null ? 'every port' : `all ${ports_in_range} ports (${range})`;
    if (dialled === null)
      return `no free port to bind to ${from}: ${all} of ip_local_port_range are in use on it`;
    return `no free port to connect ${from} to ${dialled}: ${all} of ip_local_port_range are in use for it`;
  },
  advice({ dialled, from, netns }, { saddr, daddr, dport }) {
    if (dialled === null) {
      const any = saddr === '0.0.0.0' || saddr === '::';
      const whose = any ? '' : ` 'src ${bracketed(saddr)}'`;
      return [
        `who has them, and in which states? \`${inNetns(netns, `ss -tanp${whose}`)}\``,
        'a program that binds to an address only so as to connect from it does not need a port yet: with IP_BIND_ADDRESS_NO_PORT each destination has the whole range for itself',
        morePorts(netns),
      ];
    }
    const filter = `dst ${bracketed(daddr)} and dport = :${dport}`;
    return [
      `who has them, and in which states (TIME-WAIT too)? \`${inNetns(netns, `ss -tanp '${filter}'`)}\``,
      `let the program keep connections to ${dialled} open and use them again (keep-alive, a pool); what it closes first stays in TIME-WAIT for 60 s`,
      `${morePorts(netns)}; tcp_tw_reuse 1 lets connects take ports in TIME-WAIT after a second`,
      `or more addresses: each local address beside ${from} has the whole range for itself`,
    ];
  },
});

function morePorts(netns: number): string {
  return `more ports: \`${inNetns(netns, 'sysctl net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports net.ipv4.tcp_tw_reuse')}\`: a wider range, fewer reserved`;
}

/** A connect that was given no port, or a bind that asked for any. */
function failedFor(event: Event) {
  if (event.kind === 'call_failed') {
    const { call, err, sock } = event.body;
    if (call === CONNECT || err !== ERRNO.EADDRINUSE || sock.flow.sport !== 0) return null;
    return { sock, range: event.body, binds: true };
  }
  if (event.kind !== 'state_change') return null;
  const { old_state, new_state, sock, connect } = event.body;
  if (old_state !== TCP_STATE.SYN_SENT || new_state !== TCP_STATE.CLOSE) return null;
  return sock.flow.sport === 0 && sock.err === 0 ? { sock, range: connect, binds: false } : null;
}
