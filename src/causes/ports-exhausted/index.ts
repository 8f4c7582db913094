// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import { remote } from '../../tcp/endpoint.ts';
import { ERRNO } from '../../tcp/errno.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import { defineCause, type Match } from '../define.ts';
import { CONNECT } from '../shared/denied.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';

export default defineCause({
  id: 'ports-exhausted',
  title: 'no free local port for a connect or a bind',
  severity: 'error',
  explains:
    'connect() failed with EADDRNOTAVAIL, or bind() to port 0 with EADDRINUSE: every port of ip_local_port_range is in use for that destination or address.',
  seenAs: ['connect-error'],
  needs: ['state'],
  on: ['state_change', 'call_failed'],
  match(event): Match<Connecting | Binding> | null {
    if (event.kind === 'call_failed') return binding(event);
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
  summary(evidence) {
    if ('bound_to' in evidence) {
      const { bound_to, first_port, last_port, ports_in_range: count } = evidence;
      return `no free port to bind to ${bound_to}: every port that this host gives (${count}, ${first_port} to ${last_port}) is in use on it`;
    }
    const { dialled, from, ip_local_port_range: range, ports_in_range } = evidence;
    const may = range === null ? '' : ` (ip_local_port_range: ${ports_in_range} ports, ${range})`;
    return `no free port to connect ${from} to ${dialled}: every port that it may take${may} is in use for it`;
  },
  advice(evidence, { daddr, dport }) {
    const { netns } = evidence;
    if ('bound_to' in evidence) return bindingAdvice(evidence);
    const { dialled, from } = evidence;
    const filter = `dst ${bracketed(daddr)} and dport = :${dport}`;
    return [
      `who has them, and in which states (TIME-WAIT too)? \`${inNetns(netns, `ss -tanp '${filter}'`)}\``,
      `fewer than that? Then most are reserved (net.ipv4.ip_local_reserved_ports), or the program has a range of its own (setsockopt IP_LOCAL_PORT_RANGE): give it more`,
      `let the program keep connections to ${dialled} open and use them again (keep-alive, a pool); what it closes first stays in TIME-WAIT for 60 s`,
      `more ports: \`${inNetns(netns, 'sysctl net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports net.ipv4.tcp_tw_reuse')}\`: a wider range, fewer reserved; tcp_tw_reuse 1 lets connects take ports in TIME-WAIT after a second`,
      `or more addresses: each local address beside ${from} has the whole range for itself`,
    ];
  },
});

type Connecting = {
  dialled: string;
  from: string;
  ip_local_port_range: string | null;
  ports_in_range: number | null;
  error: string;
  netns: number;
};

/** What is bound has its port for itself on that address, whatever it dials. */
type Binding = {
  bound_to: string;
  first_port: number;
  last_port: number;
  ports_in_range: number;
  error: string;
  netns: number;
};

function binding(event: Event<'call_failed'>): Match<Binding> | null {
  const { call, err, sock, first_port, last_port } = event.body;
  if (call === CONNECT || err !== ERRNO.EADDRINUSE || sock.flow.sport !== 0) return null;
  const { saddr } = sock.flow;
  return {
    evidence: {
      bound_to: saddr,
      first_port,
      last_port,
      ports_in_range: last_port - first_port + 1,
      error: 'EADDRINUSE',
      netns: event.netns,
    },
    basis: 'direct',
    subject: 'host',
    where: saddr,
    flow: sock.flow,
    group: `${event.netns} bind ${saddr}`,
    owner: ownerOf(sock.owner),
  };
}

function bindingAdvice({ bound_to, netns }: Binding): string[] {
  const any = bound_to === '0.0.0.0' || bound_to === '::';
  const whose = any ? '' : ` 'src ${bracketed(bound_to)}'`;
  return [
    `who has them, and in which states? \`${inNetns(netns, `ss -tanp${whose}`)}\``,
    'a program that calls bind() only so as to choose the address of its connect() needs no port yet: with IP_BIND_ADDRESS_NO_PORT each destination has all of them for itself',
    `which ports there are: \`${inNetns(netns, "sysctl -a --pattern '^net.ipv4.ip_local'")}\`: a wider range, fewer reserved`,
  ];
}
