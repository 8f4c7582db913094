// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { service } from '../../tcp/service.ts';
import type { Event } from '../../wire/event.ts';
import type { Packet } from '../../wire/types.gen.ts';
import type { Evidence, Match } from '../define.ts';
import { ownerOf } from './processes.ts';
import { segmentOf } from './segments.ts';

export interface ReasonEvidence extends Evidence {
  from: string;
  to: string;
  flags: string;
  interface: string | null;
  arrived: boolean;
  drop_reason: string;
  netns: number;
}

/** A drop for one of the reasons that these sentences are about. */
export function byReason(
  says: Readonly<Record<string, string>>,
  event: Event,
  known: Knowledge,
): Match<ReasonEvidence> | null {
  if (event.kind !== 'drop' || says[known.dropReason(event.body.reason)] === undefined) return null;
  return dropMatch(event, known);
}

/** A drop, told by the kernel's reason. */
export function dropMatch(event: Event<'drop'>, known: Knowledge): Match<ReasonEvidence> {
  const { packet, sock, sender, reason } = event.body;
  return {
    ...forReason(packet, known.dropReason(reason), event.netns),
    owner: ownerOf(sock?.owner) ?? ownerOf(sender ?? undefined),
  };
}

/** A segment that no socket took for this reason. */
export function forReason(
  packet: Packet,
  drop_reason: string,
  netns: number,
): Match<ReasonEvidence> {
  const where = service(packet.flow);
  return {
    evidence: { ...segmentOf(packet), drop_reason, netns },
    basis: 'direct',
    subject: 'flow',
    where,
    flow: packet.flow,
    group: `${netns} ${where} ${packet.device} ${drop_reason}`,
    owner: null,
  };
}

/** `[S] 10.0.0.1:40000 → 10.0.0.2:80 on eth0 has a wrong IP header checksum`. */
export function reasonText(
  says: Readonly<Record<string, string>>,
  evidence: ReasonEvidence,
): string {
  return dropText(evidence, says[evidence.drop_reason] ?? '');
}

export function dropText(
  { from, to, flags, interface: device }: ReasonEvidence,
  what: string,
): string {
  return `[${flags}] ${from} → ${to}${device === null ? '' : ` on ${device}`} ${what}`;
}
