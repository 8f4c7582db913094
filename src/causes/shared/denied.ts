// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { familyOf, isAny, isLoopback, isMulticast } from '../../tcp/address.ts';
import { ERRNO } from '../../tcp/errno.ts';
import type { Event } from '../../wire/event.ts';
import type { CallFailed, ConnectAsked, Flow } from '../../wire/types.gen.ts';

/** `call` of a call_failed. */
export const CONNECT = 0;

/** A route, or a rule of policy routing, that refuses everything; or that there is none. */
export interface Refusal {
  /** `prohibit`; null: no route leads there. */
  type: string | null;
  /** The route, `default` too, and its table; null where it is a rule, or not known. */
  prefix: string | null;
  table: number | null;
  /** As `ip rule` writes it. */
  rule: string | null;
  /** False: the errno alone says so. */
  found: boolean;
  /** Whether there was a route by the time that the host was asked. */
  since: boolean;
}

/** Why an address does not fit a socket, of `unfit`. */
export const FOR_IPV6_ONLY = 'the socket is for IPv6 only (IPV6_V6ONLY)';
export const NO_INTERFACE = 'no interface is named with it';

const TYPES: Readonly<Record<number, string>> = {
  [ERRNO.EACCES]: 'prohibit',
  [ERRNO.EHOSTUNREACH]: 'unreachable',
};
const NOT_FOUND = { prefix: null, table: null, rule: null, found: false, since: false };

/** What routing had against a connect; null: it was something else, or that is not known. */
export function refusalOf(event: Event, known: Knowledge): Refusal | null {
  if (event.kind !== 'call_failed' || event.body.call !== CONNECT) return null;
  const { err, programs, sock } = event.body;
  const asked = known.asked(event);
  if (unfit(event.body, asked) !== null) return null;
  if (!asked) {
    // Programs may say anything; without one these two come of routing only.
    if (programs > 0) return null;
    if (err === ERRNO.ENETUNREACH) return { ...NOT_FOUND, type: null };
    return err === ERRNO.EHOSTUNREACH ? { ...NOT_FOUND, type: 'unreachable' } : null;
  }
  if (asked.route_errno === 0 && programs === 0 && isAny(sock.flow.saddr)) {
    // Nothing but routing gives these to a socket that may have any source.
    if (err === ERRNO.ENETUNREACH) return { ...NOT_FOUND, type: null, since: true };
    if (err === ERRNO.EHOSTUNREACH) return { ...NOT_FOUND, type: 'unreachable', since: true };
  }
  if (asked.route_errno !== err) return null;
  const { route_type, prefix, table, rule } = asked;
  if (route_type !== '')
    return {
      type: route_type,
      prefix: prefix || null,
      table: table || null,
      rule: rule || null,
      found: true,
      since: false,
    };
  if (err === ERRNO.ENETUNREACH) return { ...NOT_FOUND, type: null, found: true };
  const type = TYPES[err];
  return type === undefined ? null : { ...NOT_FOUND, type };
}

/** What a route or rule that refuses a segment is called, as far as the host told of it: evidence. */
export type RefusedBy = {
  refused_by?: string;
  refusing_table?: string;
};

/** Null: it is not known. */
export function refusedBy(asked: ConnectAsked | null): RefusedBy {
  if (!asked || asked.route_type === '') return {};
  const { route_type, prefix, table, rule } = asked;
  if (rule !== '') return { refused_by: `the rule “${rule}”` };
  if (prefix === '') return {};
  const refusing_table = tableName(table);
  return {
    refused_by: `the route “${route_type} ${prefix}” of table ${refusing_table}`,
    refusing_table,
  };
}

const TABLES: Readonly<Record<number, string>> = { 253: 'default', 254: 'main', 255: 'local' };

export const tableName = (table: number) => TABLES[table] ?? String(table);

/** Why TCP cannot dial an address, or not from such a socket, whatever the routes; null: it can. */
export function unfit({ err, sock, scope }: CallFailed, asked: ConnectAsked | null): string | null {
  const { saddr, daddr } = sock.flow;
  // EINVAL before 5.4. IPv6 does not ask.
  const isRouting = err === ERRNO.ENETUNREACH || err === ERRNO.EINVAL;
  if (isRouting && familyOf(daddr) === 4 && asked?.source_missing)
    return `${saddr}, its own address, is no address of this host any more`;
  if (err === ERRNO.ENETUNREACH) {
    if (familyOf(daddr) === 4 && sock.ipv6_only) return FOR_IPV6_ONLY;
    const type = asked?.route_type;
    const broadcast = type === 'broadcast' || daddr === '255.255.255.255';
    if (broadcast || type === 'multicast' || isMulticast(daddr))
      return `${daddr} is a ${broadcast ? 'broadcast' : 'multicast'} address, and TCP connects to one host`;
  }
  if (
    err === ERRNO.EINVAL &&
    asked?.route_type === '' &&
    saddr.startsWith('127.') &&
    !isLoopback(daddr)
  )
    return `its source, ${saddr}, is an address of loopback, with which nothing leaves this host`;
  if (err !== ERRNO.EINVAL || !/^fe[89ab]/.test(daddr)) return null;
  if (scope === 0 && sock.bound_ifindex === 0)
    return `${daddr} is of one segment only, and ${NO_INTERFACE} (${daddr}%DEVICE)`;
  return scope !== 0 && sock.bound_ifindex !== 0 && scope !== sock.bound_ifindex
    ? 'the address names another interface than the one that the socket is bound to'
    : null;
}

/** Of a connect to another host whose source is loopback: evidence. IPv4 refuses it, IPv6 sends it. */
export function sourceIsLoopback({ saddr, daddr }: Flow): { source_is_loopback?: true } {
  return isLoopback(saddr) && !isLoopback(daddr) ? { source_is_loopback: true } : {};
}

export const sourceIsLoopbackText = (saddr: string) =>
  `; its source, ${saddr}, is an address of loopback, which no other host answers`;

/** What to do where the source of a connect that leaves this host is an address of loopback. */
export function choseLoopback({ saddr, daddr }: Pick<Flow, 'saddr' | 'daddr'>): string {
  return `the process chose ${saddr} itself, with bind() before connect() (an address to connect from in its settings, proxy_bind of nginx): let it choose none, or one of this host that ${daddr} can answer`;
}

/** Of a connect or connection that nobody answered: evidence that no device of this host has its source. */
export function sourceMissing(event: Event, known: Knowledge): { source_missing?: true } {
  return known.asked(event)?.source_missing === 1 ? { source_missing: true } : {};
}

export const sourceMissingText = (saddr: string) =>
  `; no device of this host has its source, ${saddr}: no answer comes here, unless that is routed to it on purpose`;

/** The same of a connection that had been open. */
export const addressGoneAdvice = (saddr: string) =>
  `${saddr} was removed (DHCP lease, VPN, failover, a network service that was restarted): what this host has: \`ip ${familyOf(saddr) === 6 ? '-6 ' : ''}addr\` Open connections keep the address that they began with: add it again, or open them anew`;

export function sourceMissingAdvice(saddr: string): string[] {
  return [
    `the process chose ${saddr} with bind(), or it was removed since: what this host has: \`ip ${familyOf(saddr) === 6 ? '-6 ' : ''}addr\` Let the process take one of these, or add it again`,
    `a transparent proxy (IP_TRANSPARENT) sends from addresses of others on purpose: then what answers ${saddr} has to be routed to this host, and taken here`,
  ];
}
