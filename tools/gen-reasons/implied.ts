// SPDX-License-Identifier: Apache-2.0

import type { Event } from '../../src/wire/event.ts';

const TIME_WAIT = 6;
const LISTEN = 10;
const NEW_SYN_RECV = 12;

type Kind = 'drop' | 'reset_sent';

/** The socket of a segment that meets the reason: in one of these states, or none. */
const STATES: Record<string, readonly (number | null)[]> = {
  NO_SOCKET: [null],
  TCP_TIMEWAIT_SOCKET: [TIME_WAIT],
  TCP_RFC7323_TW_PAWS: [TIME_WAIT],
  // tcp_v4_do_rcv() and tcp_rcv_state_process() for listeners.
  TCP_FLAGS: [LISTEN],
  TCP_LISTEN_OVERFLOW: [LISTEN, NEW_SYN_RECV],
};

/**
 * Where a reason comes from one place of the kernel: whether the event is one of there. Then also what
 * is said without asking for the reason is said of it. Null: it comes from many.
 */
export function implied(reason: string): ((event: Event<Kind>) => boolean) | null {
  // tcp_send_active_reset() by tcp_disconnect() and inet_csk_listen_stop().
  if (reason === 'TCP_STATE') return ({ body }) => body.packet === null;
  const states = STATES[reason];
  if (!states) return null;
  return ({ kind, body }) =>
    body.packet !== null &&
    states.includes(body.sock?.state ?? null) &&
    // That is dropped before a socket is looked for.
    !(kind === 'drop' && body.mib?.ip_reverse_path_filter);
}
