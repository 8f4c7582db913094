// SPDX-License-Identifier: Apache-2.0

import { addressText } from '../tcp/address.ts';
import { TCP_STATE } from '../tcp/states.ts';
import { messages, request } from './netlink.ts';

/** Netlink of sockets (NETLINK_SOCK_DIAG), of one namespace. */
export type AskSockets = (requests: Buffer[]) => Buffer[];

/** Family of netlink. */
export const SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const IPPROTO_TCP = 6;
const [AF_INET, AF_INET6] = [2, 10] as const;
/** struct inet_diag_req_v2 and inet_diag_msg: where the socket's id is, and in it its ends. */
const [REQUEST, REQUEST_ID, ANSWER, ANSWER_ID] = [56, 8, 72, 4] as const;
const [SPORT, DPORT, SRC, DST, DEVICE, COOKIE] = [0, 2, 4, 20, 36, 40] as const;

/** Of a body that bodiesIn() gives. */
export const AT = {
  ...{ family: 0, state: 1 },
  ...{ sport: ANSWER_ID + SPORT, dport: ANSWER_ID + DPORT, device: ANSWER_ID + DEVICE },
  ...{ src: ANSWER_ID + SRC, dst: ANSWER_ID + DST, cookie: ANSWER_ID + COOKIE },
  ...{ rqueue: 56, wqueue: 60, inode: 68, attributes: ANSWER },
} as const;

/**
 * Asks of both families for the TCP sockets of a port, 0: of any, that are in these states (a bit each). `more`: attributes
 * that are told only where they are asked for.
 */
export function socketsOfPort(sport: number, states: number, more = 0): Buffer[] {
  return [AF_INET, AF_INET6].map((family) => {
    const body = Buffer.alloc(REQUEST);
    body[0] = family;
    body[1] = IPPROTO_TCP;
    body[2] = more;
    body.writeUInt32LE(states, 4);
    body.writeUInt16BE(sport, REQUEST_ID + SPORT);
    return request(SOCK_DIAG_BY_FAMILY, body);
  });
}

/** For all listeners: only the kernel's table of listeners is gone through for it. */
export const LISTENERS = socketsOfPort(0, 1 << TCP_STATE.LISTEN);

/** Of what the kernel answers: one of each socket. */
export function bodiesIn(answers: readonly Buffer[]): Buffer[] {
  return answers
    .flatMap(messages)
    .filter(({ type, body }) => type === SOCK_DIAG_BY_FAMILY && body.length >= ANSWER)
    .map(({ body }) => body);
}

/** At AT.src or AT.dst. */
export function addressAt(body: Buffer, at: number): string {
  return body[AT.family] === AF_INET
    ? body.subarray(at, at + 4).join('.')
    : addressText(body.subarray(at, at + 16));
}
