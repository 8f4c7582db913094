// SPDX-License-Identifier: Apache-2.0

import type { Family } from '../tcp/address.ts';
import type { Lab } from './lab.ts';
import type { Netns } from './netns.ts';
import { HOSTS } from './wiring.ts';

export const table = (family: Family) => (family === 4 ? 'ip' : 'ip6');
export const bracketed = (family: Family, address: string, port: number) =>
  family === 4 ? `${address}:${port}` : `[${address}]:${port}`;

export function rules(netns: Netns, family: Family, chains: string): void {
  netns.exec('nft', ['-f', '-'], `table ${table(family)} lab { ${chains}\n}`);
}

/** What leaves for this end goes to another. */
export function redirect(netns: Netns, family: Family, match: string, verdict: string): void {
  rules(netns, family, `chain output { type nat hook output priority -100; ${match} ${verdict}; }`);
}

/** Has the client reach the service address by way of the server. */
export function routeVip(lab: Lab, family: Family): void {
  const { vip, server } = HOSTS[family];
  lab.client.ip(`route add ${vip} via ${server}`);
}

export function forward(netns: Netns): void {
  netns.sysctl({ 'net.ipv4.ip_forward': 1, 'net.ipv6.conf.all.forwarding': 1 });
}
