// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../tcp/flags.ts';
import { before, endOf } from '../tcp/sequence.ts';
import type { Connection } from './connection.ts';
import type { End } from './end.ts';
import type { Segment } from './segment.ts';

/** More letters than that are one `+`. */
const MOST_LETTERS = 32;
/** Letters that stand once for each end, however often it sends that. */
const LETTER = { A: 1, D: 2, I: 4, Q: 8 } as const;
const ONCE: Readonly<Record<string, number>> = LETTER;
const CONTROL = TCP_FLAG.syn | TCP_FLAG.fin | TCP_FLAG.rst;

/**
 * Adds a segment, which has not been followed yet, to its connection's history: who sent what, in the letters of zeek's
 * conn.log, those of the end that dialled as capitals.
 */
export function note(connection: Connection, segment: Segment): void {
  const me = connection.end(segment.side);
  const { flags, payload_len, window } = segment;
  const control = flags & CONTROL;
  if (control !== 0) add(connection, segment, letterOf(control, flags, me, segment));
  if (control & (TCP_FLAG.syn | TCP_FLAG.rst)) return;
  if (payload_len > 0) {
    if (me.isn !== null && !before(me.next, endOf(segment)))
      addTenfold(connection, segment, 'T', ++me.sent_again);
    else add(connection, segment, 'D');
  } else if (control === 0) add(connection, segment, 'A');
  if (window === 0) addTenfold(connection, segment, 'W', ++me.shut_told);
}

/** That this end sends what stands there once, data or an ACK of data alone, stands there. */
export function isNoted({ letters }: End, is_data: boolean): boolean {
  return (letters & (is_data ? LETTER.D : LETTER.A)) !== 0;
}

/** Empty: this end has sent the very same before. */
function letterOf(control: number, flags: number, me: End, segment: Segment): string {
  switch (control) {
    case TCP_FLAG.syn:
      return me.isn === segment.seq ? '' : flags & TCP_FLAG.ack ? 'H' : 'S';
    case TCP_FLAG.fin:
      return me.fin?.at === endOf(segment) ? '' : 'F';
    case TCP_FLAG.rst:
      return 'R';
    case TCP_FLAG.fin | TCP_FLAG.rst:
      return 'I';
    default:
      return 'Q';
  }
}

/** The second one says that it was ten times, the third a hundred. */
function addTenfold(connection: Connection, segment: Segment, letter: string, count: number): void {
  if (Number.isInteger(Math.log10(count))) add(connection, segment, letter);
}

function add(connection: Connection, { side }: Segment, letter: string): void {
  const { history, opener } = connection;
  if (letter === '' || history.length > MOST_LETTERS) return;
  const once = ONCE[letter];
  if (once !== undefined) {
    const me = connection.end(side);
    if (me.letters & once) return;
    me.letters |= once;
  }
  if (history.length === MOST_LETTERS) connection.history += '+';
  else connection.history += side === opener ? letter : letter.toLowerCase();
}
