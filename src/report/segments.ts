// SPDX-License-Identifier: Apache-2.0

import { endsOf } from './connection.ts';
import { Handshakes } from './handshakes.ts';
import { Sample } from './sample.ts';
import type { SegmentStep, Step } from './steps.ts';

const MAX_SEGMENTS = 20_000;

/** When a segment left and arrived, by one host's clock; how often it was seen to. */
export interface Sighting {
  sent_ns: number;
  sent: number;
  received_ns: number;
  received: number;
  /** In a capture: it had left one end and not come to the other, whichever of them that was taken at. */
  passed: number;
}

/** The segments that one host saw, as far as others may have seen them too. Bounded. */
export class Segments {
  readonly sightings = new Sample<Sighting>(MAX_SEGMENTS);
  readonly handshakes = new Handshakes();

  add(step: Step, time_ns: number, captured = false): void {
    if (step.kind !== 'segment') return;
    this.handshakes.add(step);
    const id = segmentId(step);
    if (id === null || step.earlier) return;
    this.sightings.update(id, (known) => {
      const seen = known ?? { sent_ns: 0, sent: 0, received_ns: 0, received: 0, passed: 0 };
      if (captured)
        return { ...seen, sent_ns: time_ns, received_ns: time_ns, passed: seen.passed + 1 };
      if (step.role === 'sent') return { ...seen, sent_ns: time_ns, sent: seen.sent + 1 };
      // What is answered and then dropped is one segment, told of twice.
      if (seen.received > 0 && time_ns - seen.received_ns < SAME_PACKET_NS) return seen;
      return { ...seen, received_ns: time_ns, received: seen.received + 1 };
    });
  }
}

/** A retransmission is at least this much later. */
export const SAME_PACKET_NS = 50e6;

/** The same wherever on its way a segment is seen; null where too little of it is known. */
export function segmentId({ flow, flags, seq, ack, len }: SegmentStep): string | null {
  if (flags === null || seq === null) return null;
  return `${endsOf(flow).join(' ')} ${flags & 0x3f} ${seq} ${ack} ${len}`;
}

/** One of the two directions of a connection, by what segmentId() gives. */
export function isForward(id: string): boolean {
  const [from = '', to = ''] = id.split(' ');
  return from < to;
}
