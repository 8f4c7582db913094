// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { ERRNO } from '../../tcp/errno.ts';
import { stateName, TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import type { PortUser } from '../../wire/types.gen.ts';
import { inNetns } from './netns.ts';
import { ownerOf } from './processes.ts';

/** Of a bind to a port of the program’s choice that failed because of the port: evidence. */
export type PortEvidence = {
  port_held_by: 'listener' | 'own listener' | 'socket' | 'connections' | 'not known' | 'privileged';
  /** Of the listener, where it is known and one. */
  port_held_by_pid?: number;
  /** Of the socket that asked: SO_REUSEADDR. */
  reuse_address?: boolean;
  /** Whether connects of this host may be given it too. */
  in_port_range?: boolean;
};

/** In words, what has the port or who may not take it; and the evidence. */
interface PortRefusal {
  why: string;
  evidence: PortEvidence;
}

/** Null: it is not the port, or not known to be. */
export function portRefusal(event: Event<'call_failed'>, known: Knowledge): PortRefusal | null {
  const { err, sock, services_below, may_not_serve } = event.body;
  const { sport } = sock.flow;
  if (err === ERRNO.EADDRINUSE) return taken(event, known);
  if (err !== ERRNO.EACCES || !may_not_serve || sport === 0 || sport >= services_below) return null;
  return {
    why: `port ${sport} is below ${services_below} (ip_unprivileged_port_start), and its process has no CAP_NET_BIND_SERVICE`,
    evidence: { port_held_by: 'privileged' },
  };
}

function taken(event: Event<'call_failed'>, known: Knowledge): PortRefusal {
  const { sock, reuses, first_port, last_port } = event.body;
  const { sport } = sock.flow;
  const users = known.asked(event)?.port_users ?? [];
  const common = {
    reuse_address: reuses === 1,
    in_port_range: sport >= first_port && sport <= last_port,
  };
  const endOf = ({ address }: PortUser) => endpoint(address, sport);
  const listeners = users.filter(({ state }) => state === TCP_STATE.LISTEN);
  const [listener] = listeners;
  if (listener) {
    const [owner, ...more] = listeners.flatMap((one) => ownersOf(event, one, known));
    const one = owner && more.length === 0 ? owner : null;
    const own = one !== null && one.pid === sock.owner.pid;
    const who = own ? 'it' : one ? `${one.comm} (${one.pid})` : 'a process';
    return {
      why: `${who} listens on ${endOf(listener)} ${own ? 'itself' : 'already'}`,
      evidence: {
        port_held_by: own ? 'own listener' : 'listener',
        ...(one && { port_held_by_pid: one.pid }),
        ...common,
      },
    };
  }
  const bound = users.find(({ state }) => state === TCP_STATE.CLOSE);
  if (bound)
    return {
      why: `another socket is bound to ${endOf(bound)}`,
      evidence: { port_held_by: 'socket', ...common },
    };
  const [first] = users;
  // Before Linux 6.8 sockets that are only bound are not told of, and the host may not have been asked.
  if (!first)
    return {
      why: 'another socket has it, or had it just then',
      evidence: { port_held_by: 'not known', ...common },
    };
  const count = users.reduce((sum, { sockets }) => sum + sockets, 0);
  // A connection shares its end with whoever has SO_REUSEADDR where it had that itself.
  const fault = reuses
    ? `, which ${count === 1 ? 'was' : 'were'} made without SO_REUSEADDR${known.tellsOfBound() ? '' : ', or a socket has it that is bound and nothing else: this kernel does not tell of those'}`
    : ', and the socket has no SO_REUSEADDR';
  return {
    why: `${count === 1 ? 'a connection has' : `${count} connections have`} it (${count === 1 ? '' : 'one of them '}${endOf(first)} → ${first.remote}, ${stateName(first.state)})${fault}`,
    evidence: { port_held_by: 'connections', ...common },
  };
}

function ownersOf(event: Event<'call_failed'>, user: PortUser, known: Knowledge) {
  const found = known
    .listenersOnPort(event.body.sock.flow.sport)
    .filter(
      ({ netns, sock }) =>
        netns === event.netns &&
        sock.flow.saddr === user.address &&
        sock.bound_ifindex === user.bound_ifindex,
    )
    .flatMap(({ sock }) => ownerOf(sock.owner) ?? []);
  return found.filter(({ pid }, at) => found.findIndex((other) => other.pid === pid) === at);
}

/** What to do about it. */
export function portAdvice(
  { port_held_by, port_held_by_pid: pid, reuse_address, in_port_range }: PortEvidence,
  { saddr, sport }: { saddr: string; sport: number },
  netns: number,
): string[] {
  const at = endpoint(saddr, sport);
  const all = `\`${inNetns(netns, `ss -tanp 'sport = :${sport}'`)}\``;
  const given = in_port_range
    ? [
        `port ${sport} lies in ip_local_port_range, from which connects of this host get theirs: keep it for the service: \`${inNetns(netns, 'sysctl net.ipv4.ip_local_reserved_ports')}\` lists what is kept, and takes what is added to that list`,
      ]
    : [];
  switch (port_held_by) {
    case 'privileged':
      return [
        `give who binds to ${at} the capability: AmbientCapabilities=CAP_NET_BIND_SERVICE in its unit of systemd, or cap_net_bind_service=+ep of its file (setcap)`,
        `or let everybody take ports from ${sport} on: \`${inNetns(netns, `sysctl -w net.ipv4.ip_unprivileged_port_start=${sport}`)}\``,
        `or have it take a higher port, and redirect ${at} to that`,
      ];
    case 'listener':
      return [
        `who has it? ${all} Since when, and who started it: \`ps -o pid,ppid,lstart,args -p ${pid ?? 'PID'}\``,
        `the same service, started twice or not ended yet? End the one that is left over. Another one? Give either another port, or another address than ${at}`,
        `several processes may listen on ${at} together where each sets SO_REUSEPORT, and all are of one user`,
      ];
    case 'own listener':
      return [
        `the process has the port itself: is ${at} twice in its settings, or does another entry stand for it? ${all}`,
        'a listener on [::] takes IPv4 too, so that none on 0.0.0.0 may be beside it, unless one of the two has IPV6_V6ONLY (ipv6only=on)',
      ];
    case 'connections':
      return [
        `which are they, and whose? ${all}`,
        reuse_address
          ? 'they end by themselves, those in TIME-WAIT after 60 s; whoever made them would have had to set SO_REUSEADDR with setsockopt() too'
          : `have the program set SO_REUSEADDR before bind(), as servers do: what a listener that had it took before (TIME-WAIT, for 60 s) does not keep it from ${at} then; what a connect of this host has, does`,
        ...given,
      ];
    default:
      return [`who has it? ${all}`, ...given];
  }
}
