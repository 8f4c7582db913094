// SPDX-License-Identifier: Apache-2.0

import type { Verdict } from '../../../../src/diagnose/verdict.ts';
import type { ExportedEvent } from '../../../../src/sinks/export/format.ts';
import { addressBytes } from '../../../../src/tcp/address.ts';
import { eventFromJson } from '../../../../src/wire/decode.ts';
import type { Packet } from '../../../../src/wire/types.gen.ts';

export const TIME_NS = 1_795_307_257_819_161_741n;

type Made = Partial<Omit<Packet, 'flow'>> & {
  saddr?: string;
  daddr?: string;
  at_ns?: bigint;
  netns?: number;
  happened?: string;
  verdicts?: Verdict[];
};

/** A dropped segment from 10.0.0.1:40000 to 10.0.0.2:80. */
export function dropped(made: Made = {}): ExportedEvent {
  const { saddr = '10.0.0.1', daddr = '10.0.0.2', at_ns = 0n, netns = 4026531840 } = made;
  const { happened = 'dropped (NO_SOCKET)', verdicts = [], device = 's0', ...fields } = made;
  const packet = {
    flags: 0x18,
    seq: 0xffffffff,
    ack_seq: 7,
    window: 512,
    payload_len: 100,
    has_timestamps: 1,
    tsval: 11,
    tsecr: 12,
    ifindex: 2,
    ttl: 63,
    ...fields,
    device: Buffer.from(device),
    flow: { saddr: addressBytes(saddr), daddr: addressBytes(daddr), sport: 40000, dport: 80 },
  };
  const event = eventFromJson({ ktime_ns: '1', netns, drop: { reason: 3, packet } });
  return exportedFrom(event, { time_ns: TIME_NS + at_ns, happened, verdicts });
}

export function exportedFrom(
  event: ExportedEvent['event'],
  { time_ns = TIME_NS, happened = event.kind as string, verdicts = [] as Verdict[] } = {},
): ExportedEvent {
  const words = { happened, reason: 'NO_SOCKET', state: '', container: null };
  return { event, seq: 7, time_ns, ...words, verdicts };
}

export function verdict(cause: string): Verdict {
  const texts = { title: `title of ${cause}`, summary: `summary of ${cause}` };
  return { cause, severity: 'error', basis: 'direct', ...texts };
}
