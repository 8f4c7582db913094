// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../tcp/flags.ts';
import { before, distance, endOf } from '../tcp/sequence.ts';
import type { Connection } from './connection.ts';
import { otherSide } from './ends.ts';
import { isNoted } from './history.ts';
import type { Segment } from './segment.ts';

const JUDGED = TCP_FLAG.syn | TCP_FLAG.fin | TCP_FLAG.rst | TCP_FLAG.ack;

/**
 * Whether a segment only goes on with an open connection, as most do: the next data, or nothing, and an acknowledgement
 * of what was seen. Then it is to be followed, and there is nothing else to judge.
 */
export function goesOn(connection: Connection, segment: Segment): boolean {
  if ((segment.flags & JUDGED) !== TCP_FLAG.ack || segment.window === 0) return false;
  if (!isPlain(connection) || segment.mptcp !== null) return false;
  const { side, payload_len } = segment;
  const me = connection.end(side);
  const peer = connection.end(otherSide(side));
  if (!me.opened || !peer.opened || me.fin || peer.fin) return false;
  if (me.shut || peer.shut || me.again_since_heard > 0) return false;
  if (segment.seq !== me.next || distance(peer.next, segment.ack) > 0) return false;
  if (payload_len > 0 && !before(me.next, endOf(segment))) return false;
  if (!isNoted(me, payload_len > 0)) return false;
  const { stamp } = me;
  const is_late =
    payload_len > 0 && segment.has_timestamps && stamp !== null && before(segment.tsval, stamp);
  return !is_late;
}

/** Of one that is not contested no SYN is to be answered either. */
function isPlain({ whole, contested, old_data, toa }: Connection): boolean {
  return whole && !contested && old_data === null && toa === null;
}
