// SPDX-License-Identifier: Apache-2.0

import { redirectedFrom } from '../causes/shared/conntrack.ts';
import { ends } from '../known/connection-id.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import { TCP_STATE } from '../tcp/states.ts';
import type { Event } from '../wire/event.ts';
import { packetOf } from './unexplained.ts';

/** The end that sent the reset which an event tells of where it was sent. */
function sender(event: Event): string | null {
  if (event.kind !== 'reset_sent') return null;
  const { packet, sock } = event.body;
  // For the client it comes from what it dialled.
  if (packet) return ends(redirectedFrom(event.body) ?? packet.flow)[1];
  return sock ? ends(sock.flow)[0] : null;
}

/**
 * The end that sent the reset which an event tells of where it arrived. A socket that was closed ends
 * itself by the same function when it is sent more data: no reset came then.
 */
function senderOfReceived(event: Event): string | null {
  if (event.kind === 'reset_received') {
    const { sock, packet } = event.body;
    const came = packet ? packet.flags & TCP_FLAG.rst : sock.state === TCP_STATE.ESTABLISHED;
    return came ? ends(sock.flow)[1] : null;
  }
  if (event.kind === 'reset_sent') return null;
  // A connect goes on that was answered from elsewhere: to it no reset has come.
  if (event.kind === 'crossed_reply' && event.body.fits.state === TCP_STATE.SYN_SENT) return null;
  // Nor one that it did not believe.
  if (event.kind === 'drop' && event.body.sock?.state === TCP_STATE.SYN_SENT) return null;
  const packet = packetOf(event);
  return packet && packet.flags & TCP_FLAG.rst ? ends(packet.flow)[0] : null;
}

/** Which ends sent and got the reset that an event tells of: null where it tells of none. */
export interface Reset {
  sent_by: string | null;
  came_from: string | null;
}

const NONE: Reset = { sent_by: null, came_from: null };

export function resetOf(event: Event): Reset {
  const sent_by = sender(event);
  const came_from = senderOfReceived(event);
  return sent_by === null && came_from === null ? NONE : { sent_by, came_from };
}

export function isSame(one: Reset, other: Reset): boolean {
  return one.sent_by === other.sent_by && one.came_from === other.came_from;
}

/**
 * Whether one end got the one reset and sent the other: then they are two. `isCommon`: of two connections
 * that have only that end in common, or that host.
 */
export function areOpposite(
  one: Reset,
  other: Reset,
  isCommon?: (end: string) => boolean,
): boolean {
  const sent = one.sent_by ?? other.sent_by;
  const received = one.came_from ?? other.came_from;
  if (sent === null || received === null) return false;
  return isCommon ? isCommon(sent) !== isCommon(received) : sent !== received;
}
