// SPDX-License-Identifier: Apache-2.0

import { familyOf } from '../../tcp/address.ts';
import { ERRNO } from '../../tcp/errno.ts';
import type { Flow, IcmpError, MacChange, NextHop, Sock } from '../../wire/types.gen.ts';
import { movedSince, movedText } from './mac.ts';
import { inWords } from './wording.ts';

/** How long before its connect fails the ICMP error comes that ends it. */
const ENDS_MS = 100;

/** Retries are 120 s apart at most: what happened before the last of them says nothing. */
const LONGEST_MS = 130_000;

/** What a socket is told that waited in vain: ETIMEDOUT, or the ICMP error that it had heard of meanwhile. */
const SILENT: ReadonlySet<number> = new Set([
  ...[ERRNO.ETIMEDOUT, ERRNO.EHOSTUNREACH, ERRNO.ENETUNREACH, ERRNO.EACCES, ERRNO.ECONNREFUSED],
  ...[ERRNO.ENONET, ERRNO.EPROTO, ERRNO.ENOPROTOOPT, ERRNO.EOPNOTSUPP, ERRNO.EHOSTDOWN],
]);

const UNREACHABLE_V4 = [
  'network unreachable',
  'host unreachable',
  'protocol unreachable',
  'port unreachable',
  'fragmentation needed',
  'source route failed',
  'network unknown',
  'host unknown',
  'source host isolated',
  'network prohibited',
  'host prohibited',
  'network unreachable for this TOS',
  'host unreachable for this TOS',
  'communication administratively prohibited',
  'host precedence violation',
  'precedence cutoff',
];
const UNREACHABLE_V6 = [
  'no route',
  'communication administratively prohibited',
  'beyond the scope of the source address',
  'address unreachable',
  'port unreachable',
  'source address failed policy',
  'reject route',
];
const [HOST_UNREACHABLE, ADDRESS_UNREACHABLE] = [1, 3];

const TIME_EXCEEDED = 'time exceeded';

/** Types of ICMP and of ICMPv6. */
const V4: Readonly<Record<number, string>> = { 11: TIME_EXCEEDED, 12: 'parameter problem' };
const V6: Readonly<Record<number, string>> = {
  2: 'packet too big',
  3: TIME_EXCEEDED,
  4: 'parameter problem',
};

/** `port unreachable`, `host prohibited`. */
export function icmpName({ type, code, from }: IcmpError): string {
  const [codes, unreachable, types] =
    familyOf(from) === 4 ? [UNREACHABLE_V4, 3, V4] : [UNREACHABLE_V6, 1, V6];
  const name = type === unreachable ? codes[code] : types[type];
  if (name === TIME_EXCEEDED && code !== 0) return `fragment reassembly ${name}`;
  return name ?? `type ${type} code ${code}`;
}

/** Codes of "unreachable" with which ICMPv6 errors end nothing: icmpv6_err_convert(). */
const NOT_FATAL_V6: ReadonlySet<number> = new Set([0, 2, 3]);

/** Whether it ends the half-open connection whose SYN-ACK it quotes: tcp_v4_err(), tcp_v6_err(). */
export function endsHalfOpen({ type, code, from }: IcmpError): boolean {
  return familyOf(from) === 4
    ? type === 11 || type === 12 || (type === 3 && code <= HOST_UNREACHABLE)
    : type === 4 || (type === 1 && !NOT_FATAL_V6.has(code));
}

/** Whether the TTL of what it quotes had ended on the way. */
export const isTtlExceeded = (icmp: IcmpError) => icmpName(icmp) === TIME_EXCEEDED;

/** `ICMP`, `ICMPv6`. */
export function icmpProtocol({ from }: IcmpError): string {
  return familyOf(from) === 4 ? 'ICMP' : 'ICMPv6';
}

/** Whether a connect ended, with this error or because its program closed it, just as this ICMP error came. */
export function endedBy(icmp: IcmpError | null, err: number): icmp is IcmpError {
  return icmp !== null && err !== ERRNO.ETIMEDOUT && icmp.age_ms <= ENDS_MS;
}

/** Whether it ended because nothing came for too long. */
export function endedInSilence(err: number): boolean {
  return SILENT.has(err);
}

/**
 * The kernel says so to itself where the next hop answers neither ARP nor neighbour discovery. A rule
 * that rejects with this error, and a tunnel that does not know where to, say the same: nobody was asked then.
 */
export function isNeighbourFailure(
  icmp: IcmpError,
  next_hop: NextHop | null,
  { saddr }: Pick<Flow, 'saddr'>,
): boolean {
  if (!next_hop?.is_silent || icmp.from !== saddr) return false;
  return familyOf(saddr) === 4
    ? icmp.type === 3 && icmp.code === HOST_UNREACHABLE
    : icmp.type === 1 && icmp.code === ADDRESS_UNREACHABLE;
}

/** How the next hop is asked for. */
export function resolution(addr: string): string {
  return familyOf(addr) === 4 ? 'ARP' : 'neighbour discovery';
}

/** `neighbour 10.1.0.9 on c0 does not answer ARP`, `gateway 10.1.0.1 …`; without an address, by where it leads. */
function neighbourText(addr: string | null, device: string | null, daddr: string): string {
  const is_gateway = addr !== null && addr !== daddr;
  return `${hopText(addr, device, daddr, is_gateway)} does not answer ${resolution(daddr)}`;
}

export function hopText(
  addr: string | null,
  device: string | null,
  daddr: string,
  is_gateway: boolean,
): string {
  const hop =
    addr === null ? `the next hop to ${daddr}` : `${is_gateway ? 'gateway' : 'neighbour'} ${addr}`;
  return `${hop}${device ? ` on ${device}` : ''}`;
}

/** What events have of that. */
export interface Heard {
  icmp: IcmpError | null;
  next_hop: NextHop | null;
  mac_change?: MacChange | null;
  sock: Sock | null;
}

/** What the socket had heard of why its packets get nowhere, in a few words, or null. */
export function unreachable(
  { icmp, next_hop, mac_change, sock }: Heard,
  flow: Flow,
): string | null {
  if (next_hop?.is_silent)
    return neighbourText(next_hop.addr ?? null, next_hop.device || null, flow.daddr);
  if (!icmp) {
    const moved = movedSince(mac_change ?? null, Math.min(sock?.silent_ms ?? 0, LONGEST_MS));
    return moved && movedText(moved, flow.daddr);
  }
  return `${icmpProtocol(icmp)} ${icmpName(icmp)} from ${icmp.from}`;
}

/** What to do about that, before anything else. */
export function unreachableAdvice(why: string | null, { daddr }: Pick<Flow, 'daddr'>): string[] {
  return why === null
    ? []
    : [`${inWords(why)}: look there first: \`ip route get ${daddr}\` and \`ip neigh\``];
}
