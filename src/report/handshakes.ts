// SPDX-License-Identifier: Apache-2.0

import type { Names } from '../known/knowledge.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import type { Event } from '../wire/event.ts';
import type { ResetSent, Retransmit } from '../wire/types.gen.ts';
import { connectionOf, type End, endsOf, type FirstNumbers } from './connection.ts';
import { Sample } from './sample.ts';
import { type SegmentStep, type Step, stepsOf } from './steps.ts';

const MAX_HANDSHAKES = 20_000;

/** A connection may be translated a few times on its way; more that have one number are of one who chose it. */
export const MOST_ALIKE = 16;

/** A connection by one of its numbers. */
export interface Numbered {
  /** In the direction of the SYN or the reset that had it. */
  from: End;
  to: End;
  /** Of a first number: that of the answer; null: not known. */
  answer: number | null;
}

/**
 * Connections by numbers that a translation leaves: the first one of whoever opened it, and both of a reset. Of
 * more than MOST_ALIKE one more is kept, which says so.
 */
export class Handshakes extends Sample<Map<string, Numbered>> {
  constructor(max = MAX_HANDSHAKES) {
    super(max);
  }

  /** What an event tells of it; most tell nothing, and are not looked at further. */
  learn(event: Event, known: Names): void {
    const { packet, dialled, syn } = event.body as Partial<ResetSent & Retransmit>;
    const opens = dialled || syn || (packet && packet.flags & TCP_FLAG.syn);
    if (opens) for (const step of stepsOf(event, known)) this.add(step);
  }

  add(step: Step): void {
    const numbers = step.kind === 'segment' ? numbersOf(step) : null;
    if (numbers === null) return;
    const { key, from, to, answer } = numbers;
    const connection = connectionOf(step.flow);
    this.update(key, (known = new Map()) => {
      if (known.size > MOST_ALIKE) return known;
      return known.set(connection, {
        from,
        to,
        answer: answer ?? known.get(connection)?.answer ?? null,
      });
    });
  }

  /** Not of numbers that somebody chose for more connections than a translation makes of one. */
  firstNumbers(): FirstNumbers {
    const numbers = new Map<string, Set<string>>();
    for (const [isn, connections] of this.entries()) {
      if (connections.size > MOST_ALIKE || isn.includes(' ')) continue;
      for (const connection of connections.keys()) {
        const known = numbers.get(connection);
        if (known) known.add(isn);
        else numbers.set(connection, new Set([isn]));
      }
    }
    return numbers;
  }
}

/**
 * The first sequence number of whoever opened the connection, from its SYN or the answer to it; both numbers of a
 * reset that has both.
 */
function numbersOf({ flow, flags, seq, ack }: SegmentStep): (Numbered & { key: string }) | null {
  if (flags === null) return null;
  const [from, to] = endsOf(flow);
  if (flags & TCP_FLAG.rst)
    return seq === null || seq === 0 || ack === null
      ? null
      : { key: `${seq} ${ack}`, from, to, answer: null };
  if (!(flags & TCP_FLAG.syn)) return null;
  if (!(flags & TCP_FLAG.ack))
    return seq === null ? null : { key: String(seq), from, to, answer: null };
  // From whoever opened it.
  return ack === null ? null : { key: String((ack - 1) >>> 0), from: to, to: from, answer: seq };
}
