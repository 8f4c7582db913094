// SPDX-License-Identifier: Apache-2.0

export const TCP_STATE = {
  ESTABLISHED: 1,
  SYN_SENT: 2,
  SYN_RECV: 3,
  FIN_WAIT1: 4,
  FIN_WAIT2: 5,
  TIME_WAIT: 6,
  CLOSE: 7,
  CLOSE_WAIT: 8,
  LAST_ACK: 9,
  LISTEN: 10,
  CLOSING: 11,
  NEW_SYN_RECV: 12,
} as const;

const STATES = [
  '?',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
  'NEW_SYN_RECV',
  'BOUND_INACTIVE',
];

/** The kernel's word for a TCP state. */
export function stateName(state: number): string {
  return STATES[state] ?? `state ${state}`;
}

/** A state of a connection that the peer may send to: neither half-open nor over. */
export function isConnection(state: number): boolean {
  const { SYN_SENT, TIME_WAIT, CLOSE, LISTEN, NEW_SYN_RECV } = TCP_STATE;
  return state > 0 && ![SYN_SENT, TIME_WAIT, CLOSE, LISTEN, NEW_SYN_RECV].some((s) => s === state);
}
