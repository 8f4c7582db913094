// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { servedAtSource, service } from '../../tcp/service.ts';
import type { Event } from '../../wire/event.ts';
import type { Flow } from '../../wire/types.gen.ts';
import type { Evidence, Match } from '../define.ts';
import { inNetns } from './netns.ts';
import { ownerOf } from './processes.ts';
import { segmentOf } from './segments.ts';

/** Which end has no key, or another, and what the kernel counts then. */
export interface KeyFault {
  keys: string;
  /** Null where it counts nothing. */
  counter: string | null;
}

export interface KeyEvidence extends Evidence {
  from: string;
  to: string;
  flags: string;
  drop_reason: string;
  keys: string;
  counter: string | null;
  netns: number;
}

/** A segment whose signature is not what its socket's key asks for: by the kernel's reason. */
export function keyFault(
  faults: Readonly<Record<string, KeyFault>>,
  event: Event,
  known: Knowledge,
): Match<KeyEvidence> | null {
  if (event.kind !== 'drop') return null;
  const { packet, sock, reason } = event.body;
  const drop_reason = known.dropReason(reason);
  const fault = faults[drop_reason];
  if (!fault) return null;
  const { from, to, flags } = segmentOf(packet);
  return {
    evidence: { from, to, flags, drop_reason, ...fault, netns: event.netns },
    basis: 'direct',
    subject: 'flow',
    where: service(packet.flow),
    flow: packet.flow,
    group: `${event.netns} ${service(packet.flow)} ${packet.flow.saddr} ${drop_reason}`,
    owner: ownerOf(sock?.owner),
  };
}

/** Of TCP-MD5; keys of TCP-AO are shown to nobody but their process. */
export function keysHere({ netns }: KeyEvidence, flow: Flow): string {
  const port = servedAtSource(flow) ? flow.sport : flow.dport;
  return `which keys the sockets here have (md5keys): \`${inNetns(netns, `ss -tinp 'sport = :${port} or dport = :${port}'`)}\``;
}

export function goesOn({ counter, netns }: KeyEvidence): string[] {
  return counter === null
    ? []
    : [`does it go on? \`${inNetns(netns, `nstat -az TcpExt${counter}`)}\``];
}
