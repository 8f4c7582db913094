// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import type { Event } from '../../wire/event.ts';
import type { Stall } from '../../wire/types.gen.ts';
import { ownerOf } from './processes.ts';
import { unreachable } from './unreachable.ts';

/** A half-open connection that its listener waited for as long as `stall` says. */
export function halfOpen(event: Event<'retransmit'>, stall: Stall, known: Knowledge) {
  const { sock, icmp } = event.body;
  // An error may be of an earlier connect from the same port.
  const heard = icmp?.seq === stall.isn ? icmp : null;
  const why = unreachable({ icmp: heard, next_hop: null, sock: null }, sock.flow);
  return {
    evidence: {
      listener: local(sock.flow),
      client: remote(sock.flow),
      synacks_sent: stall.synacks,
      waited_ms: stall.since_ms,
      tcp_synack_retries: known.sysctl('net/ipv4/tcp_synack_retries', event.netns),
      ...(why !== null && { path_error: why }),
    },
    basis: 'direct' as const,
    subject: 'listener' as const,
    where: local(sock.flow),
    flow: sock.flow,
    group: `${event.netns} ${sock.flow.saddr} ${sock.flow.sport}`,
    owner: ownerOf(sock.owner),
    began_ns: event.ktime_ns - stall.since_ms * 1e6,
  };
}
