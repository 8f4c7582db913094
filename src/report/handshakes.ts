// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../known/knowledge.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import type { Event } from '../wire/event.ts';
import type { ResetSent, Retransmit } from '../wire/types.gen.ts';
import { connectionOf, type FirstNumbers } from './connection.ts';
import { Sample } from './sample.ts';
import { type SegmentStep, type Step, stepsOf } from './steps.ts';

const MAX_HANDSHAKES = 20_000;

/** A connection may be translated a few times on its way; more that have one number are of one who chose it. */
export const MOST_ALIKE = 16;

/**
 * Connections by their first sequence number: what is left of one behind a translation. Of more than
 * MOST_ALIKE one more is kept, which says so.
 */
export class Handshakes extends Sample<Set<string>> {
  constructor(max = MAX_HANDSHAKES) {
    super(max);
  }

  /** What an event tells of it; most tell nothing, and are not looked at further. */
  learn(event: Event, known: Knowledge): void {
    const { packet, dialled, syn } = event.body as Partial<ResetSent & Retransmit>;
    const opens = dialled || syn || (packet && packet.flags & TCP_FLAG.syn);
    if (opens) for (const step of stepsOf(event, known)) this.add(step);
  }

  add(step: Step): void {
    const isn = step.kind === 'segment' ? isnOf(step) : null;
    if (isn === null) return;
    const connection = connectionOf(step.flow);
    this.update(String(isn), (known = new Set()) =>
      known.size > MOST_ALIKE ? known : known.add(connection),
    );
  }

  /** Not of numbers that somebody chose for more connections than a translation makes of one. */
  firstNumbers(): FirstNumbers {
    const numbers = new Map<string, Set<string>>();
    for (const [isn, connections] of this.entries()) {
      if (connections.size > MOST_ALIKE) continue;
      for (const connection of connections) {
        const known = numbers.get(connection);
        if (known) known.add(isn);
        else numbers.set(connection, new Set([isn]));
      }
    }
    return numbers;
  }
}

/** The first sequence number of whoever opened the connection, from its SYN or the answer to it. */
function isnOf({ flags, seq, ack }: SegmentStep): number | null {
  if (flags === null || !(flags & TCP_FLAG.syn)) return null;
  if (!(flags & TCP_FLAG.ack)) return seq;
  return ack === null ? null : (ack - 1) >>> 0;
}
