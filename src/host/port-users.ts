// SPDX-License-Identifier: Apache-2.0

import { addressText, familyOf } from '../tcp/address.ts';
import { endpoint } from '../tcp/endpoint.ts';
import { TCP_STATE } from '../tcp/states.ts';
import type { CallFailed, PortUser } from '../wire/types.gen.ts';
import { attributes, messages, request } from './netlink.ts';
import { isAny } from './routes.ts';

/** Netlink of sockets (NETLINK_SOCK_DIAG), of one namespace. */
export type AskSockets = (requests: Buffer[]) => Buffer[];

/** SOCK_DIAG_BY_FAMILY. */
export const DIAG = 20;
const IPPROTO_TCP = 6;
const [AF_INET, AF_INET6] = [2, 10] as const;
/** struct inet_diag_req_v2 and inet_diag_msg: where the socket's id is, and in it its ends. */
const [REQUEST, REQUEST_ID, ANSWER, ANSWER_ID] = [56, 8, 72, 4] as const;
const [SPORT, DPORT, SRC, DST, DEVICE, COOKIE] = [0, 2, 4, 20, 36, 40] as const;
/** Of an answer. */
export const AT = {
  ...{ sport: ANSWER_ID + SPORT, dport: ANSWER_ID + DPORT },
  ...{ src: ANSWER_ID + SRC, dst: ANSWER_ID + DST, cookie: ANSWER_ID + COOKIE },
  ...{ rqueue: 56, wqueue: 60, inode: 68, end: ANSWER },
} as const;
const INET_DIAG_SKV6ONLY = 11;
/** With those that are bound and nothing else (TCP_BOUND_INACTIVE, from Linux 6.8). */
const STATES = 0x3fff;
const BOUND_INACTIVE = 13;
/** As many as are told of: those that weigh most come first. */
const MOST = 8;
const WEIGHT: readonly number[] = [TCP_STATE.LISTEN, TCP_STATE.CLOSE];

/** Sockets that may have the port that a bind asked for, by state and local end. */
export function portUsers(ask: AskSockets, { sock }: CallFailed): PortUser[] {
  const { saddr, sport } = sock.flow;
  const found = new Map<string, PortUser>();
  for (const answer of ask(
    [AF_INET, AF_INET6].map((family) => socketsOfPort(family, sport, STATES)),
  )) {
    for (const { type, body } of messages(answer)) {
      if (type !== DIAG || body.length < ANSWER) continue;
      const one = userOf(body);
      if (!overlaps({ address: saddr, ...sock }, one)) continue;
      const id = `${one.state} ${one.address} ${one.ipv6_only} ${one.bound_ifindex}`;
      const same = found.get(id);
      if (same) same.sockets++;
      else found.set(id, one);
    }
  }
  const weight = ({ state }: PortUser) => WEIGHT.indexOf(state) >>> 0;
  return [...found.values()].sort((a, b) => weight(a) - weight(b)).slice(0, MOST);
}

/** `more`: attributes that are told only where they are asked for. */
export function socketsOfPort(family: number, sport: number, states: number, more = 0): Buffer {
  const body = Buffer.alloc(REQUEST);
  body[2] = more;
  body[0] = family;
  body[1] = IPPROTO_TCP;
  body.writeUInt32LE(states, 4);
  body.writeUInt16BE(sport, REQUEST_ID + SPORT);
  return request(DIAG, body);
}

function userOf(body: Buffer): PortUser {
  const [family, state] = [body[0], body[1] ?? 0];
  const at = (offset: number) => ANSWER_ID + offset;
  return {
    state: state === BOUND_INACTIVE ? TCP_STATE.CLOSE : state,
    address: addressAt(body, at(SRC), family),
    remote: endpoint(addressAt(body, at(DST), family), body.readUInt16BE(at(DPORT))),
    ipv6_only: attributes(body, ANSWER).get(INET_DIAG_SKV6ONLY)?.[0] ?? 0,
    bound_ifindex: body.readUInt32LE(at(DEVICE)),
    sockets: 1,
  };
}

export function addressAt(body: Buffer, at: number, family = 0): string {
  return family === AF_INET
    ? body.subarray(at, at + 4).join('.')
    : addressText(body.subarray(at, at + 16));
}

interface End {
  address: string;
  ipv6_only: number;
  bound_ifindex: number;
}

/** Whether two sockets of one port want the same of it: inet_bind_conflict(), but for what lets them share it. */
function overlaps(one: End, other: End): boolean {
  const devices = [one.bound_ifindex, other.bound_ifindex];
  if (!devices.includes(0) && devices[0] !== devices[1]) return false;
  return one.address === other.address || takes(one, other) || takes(other, one);
}

function takes({ address, ipv6_only }: End, other: End): boolean {
  if (!isAny(address)) return false;
  if (familyOf(address) === familyOf(other.address)) return true;
  return familyOf(address) === 6 && ipv6_only === 0;
}
