// SPDX-License-Identifier: Apache-2.0

import { familyOf, isAny } from '../tcp/address.ts';
import { endpoint } from '../tcp/endpoint.ts';
import { TCP_STATE } from '../tcp/states.ts';
import type { CallFailed, PortUser } from '../wire/types.gen.ts';
import { attributes } from './netlink.ts';
import { type AskSockets, AT, addressAt, bodiesIn, socketsOfPort } from './sock-diag.ts';

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
  for (const body of bodiesIn(ask(socketsOfPort(sport, STATES)))) {
    const one = userOf(body);
    if (!overlaps({ address: saddr, ...sock }, one)) continue;
    const id = `${one.state} ${one.address} ${one.ipv6_only} ${one.bound_ifindex}`;
    const same = found.get(id);
    if (same) same.sockets++;
    else found.set(id, one);
  }
  const weight = ({ state }: PortUser) => WEIGHT.indexOf(state) >>> 0;
  return [...found.values()].sort((a, b) => weight(a) - weight(b)).slice(0, MOST);
}

function userOf(body: Buffer): PortUser {
  const state = body[AT.state] ?? 0;
  return {
    state: state === BOUND_INACTIVE ? TCP_STATE.CLOSE : state,
    address: addressAt(body, AT.src),
    remote: endpoint(addressAt(body, AT.dst), body.readUInt16BE(AT.dport)),
    ipv6_only: attributes(body, AT.attributes).get(INET_DIAG_SKV6ONLY)?.[0] ?? 0,
    bound_ifindex: body.readUInt32LE(AT.device),
    sockets: 1,
  };
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
