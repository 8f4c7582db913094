// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { bracketed } from '../../tcp/address.ts';
import { remote } from '../../tcp/endpoint.ts';
import { ERRNO } from '../../tcp/errno.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import type { ConnectAsked } from '../../wire/types.gen.ts';
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
  match(event, known): Match<Connecting | Binding> | null {
    if (event.kind === 'call_failed') return binding(event, known);
    if (event.kind !== 'state_change') return null;
    const { old_state, new_state, sock, connect } = event.body;
    if (old_state !== TCP_STATE.SYN_SENT || new_state !== TCP_STATE.CLOSE) return null;
    // It was given no port.
    if (sock.flow.sport !== 0 || sock.err !== 0) return null;
    const { saddr, daddr, dport } = sock.flow;
    const range = connect && portRange(connect);
    const reserved = range ? reservedIn(range, known.asked(event)) : {};
    return {
      evidence: {
        dialled: remote(sock.flow),
        from: saddr,
        ip_local_port_range: connect ? `${connect.first_port}-${connect.last_port}` : null,
        ports_in_range: range ? range.last - range.first + 1 : null,
        ...(range?.own && { own_port_range: `${range.first}-${range.last}` }),
        ...reserved,
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
      const { bound_to, first_port, last_port, ports_in_range: count, own_port_range } = evidence;
      const gives = own_port_range ? 'its program lets it have' : 'this host gives';
      return `no free port to bind to ${bound_to}: every port that ${gives} (${count}, ${first_port} to ${last_port}${lessReserved(evidence)}) ${areTaken(evidence, 'on')}`;
    }
    const { dialled, from, ip_local_port_range, ports_in_range, own_port_range } = evidence;
    const [whose, range] = own_port_range
      ? ['its own, of setsockopt IP_LOCAL_PORT_RANGE', own_port_range]
      : ['ip_local_port_range', ip_local_port_range];
    const may =
      range === null
        ? ''
        : ` (${whose}: ${ports_in_range} ports, ${range}${lessReserved(evidence)})`;
    return `no free port to connect ${from} to ${dialled}: every port that it may take${may} ${areTaken(evidence, 'for')}`;
  },
  advice(evidence, { daddr, dport }) {
    const { netns } = evidence;
    if ('bound_to' in evidence) return bindingAdvice(evidence);
    const { dialled, from, own_port_range, ip_local_port_range, reserved_ports } = evidence;
    const filter = `dst ${bracketed(daddr)} and dport = :${dport}`;
    if (areReserved(evidence)) return reservedAdvice(netns);
    return [
      `who has them, and in which states (TIME-WAIT too)? \`${inNetns(netns, `ss -tanp '${filter}'`)}\``,
      own_port_range
        ? `the program gives its socket a range of its own, ${own_port_range} of ${ip_local_port_range} (setsockopt IP_LOCAL_PORT_RANGE): let it give a wider one for ${dialled}`
        : reserved_ports
          ? `${reserved_ports} of ${ip_local_port_range} are reserved for who asks for them by number: \`${inNetns(netns, 'sysctl net.ipv4.ip_local_reserved_ports')}\` For whom? What is no longer there needs none`
          : `fewer than that? Then most are reserved (net.ipv4.ip_local_reserved_ports)`,
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
  /** What the program has made of it for this socket. */
  own_port_range?: string;
  reserved_ports?: number;
  error: string;
  netns: number;
};

/** What is bound has its port for itself on that address, whatever it dials. */
type Binding = {
  bound_to: string;
  first_port: number;
  last_port: number;
  ports_in_range: number;
  own_port_range?: string;
  reserved_ports?: number;
  error: string;
  netns: number;
};

function binding(event: Event<'call_failed'>, known: Knowledge): Match<Binding> | null {
  const { call, err, sock } = event.body;
  if (call === CONNECT || err !== ERRNO.EADDRINUSE || sock.flow.sport !== 0) return null;
  const { saddr } = sock.flow;
  const range = portRange(event.body);
  const { first, last, own } = range;
  return {
    evidence: {
      bound_to: saddr,
      first_port: first,
      last_port: last,
      ports_in_range: last - first + 1,
      ...(own && { own_port_range: `${first}-${last}` }),
      ...reservedIn(range, known.asked(event)),
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

/** What the socket may have: its own range as far as it lies in that of the host, as inet_sk_get_local_port_range() has it. */
function portRange({
  first_port,
  last_port,
  own_ports,
}: {
  first_port: number;
  last_port: number;
  own_ports: number;
}) {
  const lies = (port: number) => port >= first_port && port <= last_port;
  const [low, high] = [own_ports & 0xffff, own_ports >>> 16];
  return {
    first: lies(low) ? low : first_port,
    last: lies(high) ? high : last_port,
    own: lies(low) || lies(high),
  };
}

/** `8000,40000-40003`: how many of a range that is. */
function reservedIn(
  { first, last }: { first: number; last: number },
  asked: ConnectAsked | null,
): { reserved_ports?: number } {
  const reserved_ports = (asked?.reserved_ports ?? '')
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const [from = 0, to = from] = part.split('-').map(Number);
      return Math.max(0, Math.min(to, last) - Math.max(from, first) + 1);
    })
    .reduce((sum, one) => sum + one, 0);
  return reserved_ports > 0 ? { reserved_ports } : {};
}

const lessReserved = ({ reserved_ports }: { reserved_ports?: number }) =>
  reserved_ports === undefined ? '' : `, ${reserved_ports} of them reserved`;

/** At the end of a summary: of what is reserved none needs to be in use. */
const areTaken = (
  { reserved_ports, ports_in_range }: { reserved_ports?: number; ports_in_range: number | null },
  of: 'on' | 'for',
) => (areReserved({ reserved_ports, ports_in_range }) ? 'is reserved' : `is in use ${of} it`);

function areReserved({
  reserved_ports,
  ports_in_range,
}: {
  reserved_ports?: number;
  ports_in_range: number | null;
}): boolean {
  return reserved_ports !== undefined && reserved_ports === ports_in_range;
}

/** Nobody has them: it is the setting alone. */
const reservedAdvice = (netns: number) => [
  `nobody has them: they are reserved for who asks for one by its number: \`${inNetns(netns, "sysctl -a --pattern '^net.ipv4.ip_local'")}\` For whom? What is no longer there needs none: a shorter list in ip_local_reserved_ports, or a wider ip_local_port_range`,
  'who set it, at the next start too: `grep -rs ip_local_ /etc/sysctl.conf /etc/sysctl.d /run/sysctl.d /usr/lib/sysctl.d`',
];

function bindingAdvice(evidence: Binding): string[] {
  const { bound_to, netns, own_port_range } = evidence;
  if (areReserved(evidence)) return reservedAdvice(netns);
  const any = bound_to === '0.0.0.0' || bound_to === '::';
  const whose = any ? '' : ` 'src ${bracketed(bound_to)}'`;
  return [
    `who has them, and in which states? \`${inNetns(netns, `ss -tanp${whose}`)}\``,
    'a program that calls bind() only so as to choose the address of its connect() needs no port yet: with IP_BIND_ADDRESS_NO_PORT each destination has all of them for itself',
    own_port_range
      ? `the program gives its socket a range of its own, ${own_port_range} (setsockopt IP_LOCAL_PORT_RANGE): let it give a wider one on ${bound_to}`
      : `which ports there are: \`${inNetns(netns, "sysctl -a --pattern '^net.ipv4.ip_local'")}\`: a wider range, fewer reserved`,
  ];
}
