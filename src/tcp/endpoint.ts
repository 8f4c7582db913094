// SPDX-License-Identifier: Apache-2.0

import { bracketed, familyOf } from './address.ts';

/** The two ends of a packet or, the local one first, of a socket; with `service` as of service.ts. */
export interface Ends {
  saddr: string;
  sport: number;
  daddr: string;
  dport: number;
  service: number;
}

/** addr:port, with brackets around IPv6. */
export function endpoint(addr: string, port: number): string {
  return `${bracketed(addr)}:${port}`;
}

export function local(flow: Ends): string {
  return endpoint(flow.saddr, flow.sport);
}

export function remote(flow: Ends): string {
  return endpoint(flow.daddr, flow.dport);
}

/** Whether a listener is for an address of this host, whatever the device. */
export function listensFor(
  { flow: { saddr }, ipv6_only }: { flow: Pick<Ends, 'saddr'>; ipv6_only: number },
  daddr: string,
): boolean {
  if (saddr === daddr) return true;
  if (saddr === '::') return familyOf(daddr) === 6 || ipv6_only === 0;
  return saddr === '0.0.0.0' && familyOf(daddr) === 4;
}

/** A port from 1 to 65535, in decimal digits; null: it is none. */
export function parsePort(text: string): number | null {
  const port = Number(text);
  return /^\d+$/.test(text) && port > 0 && port <= 0xffff ? port : null;
}

/** `HOST:PORT`, `[IPv6]:PORT` and `[IPv6]` in their parts, neither of them looked at; null: it is neither. */
export function splitEndpoint(text: string): { host: string; port: string | null } | null {
  const [, host, port = null] =
    text.match(/^\[([^\]]+)\](?::(\d+))?$/) ?? text.match(/^([^:]+):(\d+)$/) ?? [];
  return host === undefined ? null : { host, port };
}
