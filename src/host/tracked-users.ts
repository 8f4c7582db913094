// SPDX-License-Identifier: Apache-2.0

import { addressText } from '../tcp/address.ts';
import { endpoint } from '../tcp/endpoint.ts';
import type { TableUsers } from '../wire/types.gen.ts';
import { type Attributes, attributes, type Message, request } from './netlink.ts';

const CONNTRACK = 1 << 8;
const NEW_ENTRY = CONNTRACK;
const GET_ENTRY = CONNTRACK | 1;
/** struct nfgenmsg. */
const NFGEN = 4;
const MOST_ENTRIES = 20_000;
const SHOWN = 3;

/** Asks for every entry of connection tracking: they come in no order. */
export const ENTRIES = request(GET_ENTRY, Buffer.alloc(NFGEN));

/** Who has most of these entries. */
export function usersOf(netns: number, answer: readonly Message[]): TableUsers {
  const sources = new Map<string, number>();
  const services = new Map<string, number>();
  let entries = 0;
  for (const { type, body } of answer) {
    if (type !== NEW_ENTRY) continue;
    if (entries === MOST_ENTRIES) break;
    entries++;
    const sent = attributes(attributes(body, NFGEN).get(1));
    const ip = attributes(sent.get(1));
    const ports = attributes(sent.get(2));
    count(sources, address(ip, 1, 3));
    count(services, endpoint(address(ip, 2, 4), ports.get(3)?.readUInt16BE(0) ?? 0));
  }
  return { netns, entries, sources: most(sources), services: most(services) };
}

function count(by: Map<string, number>, name: string): void {
  by.set(name, (by.get(name) ?? 0) + 1);
}

function most(by: ReadonlyMap<string, number>) {
  return [...by]
    .map(([end, entries]) => ({ end, entries }))
    .sort((a, b) => b.entries - a.entries || (a.end < b.end ? -1 : 1))
    .slice(0, SHOWN);
}

function address(ip: Attributes, v4: number, v6: number): string {
  const bytes = ip.get(v6) ?? Buffer.concat([MAPPED, ip.get(v4) ?? Buffer.alloc(4)]);
  return addressText(bytes);
}

const MAPPED = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
