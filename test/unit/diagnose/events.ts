// SPDX-License-Identifier: Apache-2.0

import type { Cause } from '../../../src/causes/define.ts';
import { defineCause } from '../../../src/causes/define.ts';
import type { Event } from '../../../src/wire/event.ts';
import type { Json } from '../causes/fixture.ts';

export const MS = 1e6;
/** Reasons of what these tests drop and reset. */
export const REASON = { none: 1, ordinary: 2, weak: 3, strong: 4 } as const;
export const HEADER = {
  enums: [
    {
      name: 'skb_drop_reason',
      names: { 1: 'ODD', 2: 'TCP_OLD_DATA', 3: 'WEAK', 4: 'STRONG' },
    },
    { name: 'sk_rst_reason', names: { 1: 'ODD', 2: 'ODD', 3: 'WEAK', 4: 'STRONG' } },
  ],
};

export interface Made {
  ms: number;
  reason?: number;
  from?: string;
  sport?: number;
  dport?: number;
  seq?: number;
  key?: string;
  occurrences?: number;
  cpu?: number;
}

/** An event in protobuf's JSON form: a packet from 10.0.0.1:`sport` to 10.0.0.2:`dport`. */
export function packetEvent(kind: 'drop' | 'reset_sent' | 'syn_received', made: Made): Json {
  const { ms, reason = REASON.none, from = '10.0.0.1', sport = 40_000, dport = 80 } = made;
  const { seq = 1, key = '0', occurrences = 1, cpu = 0 } = made;
  const flow = { saddr: mapped(from), daddr: mapped('10.0.0.2'), sport, dport };
  const rest = kind === 'syn_received' ? { mib: {} } : { reason };
  const body = { packet: { flow, seq, flags: 16 }, ...rest };
  return { ktime_ns: String(ms * MS), cpu, netns: 1, key, occurrences, [kind]: body };
}

/** The same connection from its other end. */
export function answerEvent(made: Made): Json {
  const { sport = 40_000, dport = 80 } = made;
  const event = packetEvent('reset_sent', made);
  const flow = { saddr: mapped('10.0.0.2'), daddr: mapped('10.0.0.1'), sport: dport, dport: sport };
  return { ...event, reset_sent: { reason: made.reason, packet: { flow, seq: 7, flags: 16 } } };
}

export function tick(ms: number, lost: Json[] = []): Json {
  return { ktime_ns: String(ms * MS), tick: { lost } };
}

export function totals(ms: number, keys: Record<string, number>, kinds: Json[] = []): Json {
  const list = Object.entries(keys).map(([key, count]) => ({ key, count }));
  return { ktime_ns: String(ms * MS), totals: { keys: list, kinds } };
}

/** Two causes of one failure, of which `strong` says more, and one that has nothing to do with them. */
export const CAUSES = [
  cause('weak', 'WEAK', ['reset_sent']),
  cause('strong', 'STRONG', ['reset_sent', 'drop'], ['weak']),
] as readonly Cause[];

function cause(id: string, reason: string, on: Cause['on'], supersedes: string[] = []): Cause {
  return defineCause({
    id,
    title: id,
    severity: 'warning',
    explains: id,
    seenAs: [],
    needs: [],
    on,
    supersedes,
    match(event: Event, known) {
      if (event.kind !== 'reset_sent' && event.kind !== 'drop') return null;
      const { packet } = event.body;
      const name =
        event.kind === 'drop'
          ? known.dropReason(event.body.reason)
          : known.resetReason(event.body.reason);
      if (!packet || name !== reason) return null;
      return {
        evidence: { from: packet.flow.saddr },
        basis: 'direct',
        subject: 'flow',
        where: `${packet.flow.daddr}`,
        flow: packet.flow,
        group: `${Math.min(packet.flow.sport, packet.flow.dport)}`,
        owner: null,
      };
    },
    summary: () => id,
    advice: () => [id],
  });
}

export function mapped(address: string): string {
  const bytes = address.split('.').map(Number);
  return Buffer.from([...Array(10).fill(0), 255, 255, ...bytes]).toString('base64');
}
