// SPDX-License-Identifier: Apache-2.0

import { messages, request } from './netlink.ts';

/** How full the accept queue of a listener is. */
export interface AcceptQueue {
  port: number;
  /** Connections that wait for accept(), and how many may. */
  usage: number;
  limit: number;
}

/** Family of netlink. */
export const SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const [AF_INET, AF_INET6] = [2, 10];
const IPPROTO_TCP = 6;
const LISTEN = 10;
/** struct inet_diag_req_v2 and inet_diag_msg. */
const REQUEST_BYTES = 56;
const SPORT = 4;
const RQUEUE = 56;
const WQUEUE = 60;
const MESSAGE_BYTES = 72;

/** Asks for all listeners of both families: only the kernel's table of listeners is gone through for it. */
export const LISTENERS: Buffer[] = [AF_INET, AF_INET6].map((family) => {
  const body = Buffer.alloc(REQUEST_BYTES);
  body.writeUInt8(family, 0);
  body.writeUInt8(IPPROTO_TCP, 1);
  body.writeUInt32LE(1 << LISTEN, 4);
  return request(SOCK_DIAG_BY_FAMILY, body);
});

/** Of the answers to LISTENERS. The kernel lets one more wait than the limit. */
export function acceptQueuesIn(answers: readonly Buffer[]): AcceptQueue[] {
  return answers
    .flatMap(messages)
    .filter(({ type, body }) => type === SOCK_DIAG_BY_FAMILY && body.length >= MESSAGE_BYTES)
    .map(({ body }) => ({
      port: body.readUInt16BE(SPORT),
      usage: body.readUInt32LE(RQUEUE),
      limit: body.readUInt32LE(WQUEUE),
    }));
}
