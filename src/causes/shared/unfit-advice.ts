// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import type { Flow } from '../../wire/types.gen.ts';
import { inNetns } from './netns.ts';
import { word } from './wording.ts';

/** What every host has for itself. */
const LOOPBACK6 = '::1';

/** What to do where the very connection is there already. */
export function sameEndsAdvice({ saddr, sport, daddr, dport }: Flow, netns: number): string[] {
  const there = `${bracketed(daddr)}:${dport}`;
  const which = `src ${word(`${bracketed(saddr)}:${sport}`)} dst ${word(there)}`;
  return [
    `who has it, and in TIME_WAIT how long yet: \`${inNetns(netns, `ss -tanop ${which}`)}\``,
    `the process chose ${sport} itself, with bind() before connect(): without that, or with port 0, each connection has a port of its own. Where it has to be ${sport}, there is one to ${there} at a time, and the next one 60 s (TIME_WAIT) after this end has closed it`,
    `TIME_WAIT of this end may be taken over after a second where both ends use timestamps: \`${inNetns(netns, 'sysctl -w net.ipv4.tcp_tw_reuse=1')}\``,
  ];
}

/** What to do where a socket of IPv6 only dials IPv4. */
export function forIpv6OnlyAdvice(daddr: string, netns: number): string[] {
  return [
    `have the program dial ${daddr} with a socket of IPv4 (AF_INET), as it is chosen by what getaddrinfo() gives for each address, or set IPV6_V6ONLY to 0 on this one before connect()`,
    `every socket is so from the beginning where this is 1: \`${inNetns(netns, 'sysctl net.ipv6.bindv6only')}\` Else the program has set it, or a setting like “IPv6 only”`,
  ];
}

/** What to do where a link-local address is dialled, and no interface is named. */
export function noInterfaceAdvice({ daddr, dport }: Flow, netns: number): string[] {
  return [
    `name the interface in what the program dials: ${daddr}%DEVICE, in a URL [${daddr}%25DEVICE]:${dport}; a program that takes none has to be given an address of another scope`,
    `which device leads to it? The one whose neighbour it is: \`${inNetns(netns, `ip -6 neigh show ${daddr}`)}\` Which there are: \`${inNetns(netns, 'ip -6 -br addr show scope link')}\``,
  ];
}

/** What to do where a host has no IPv6, and a program dials an address of it. */
export function withoutIpv6Advice(daddr: string, netns: number): string[] {
  const off = isOff(netns);
  if (daddr === LOOPBACK6)
    return [
      `the program dials ${LOOPBACK6}, as “localhost” has it where /etc/hosts or DNS give it both: have it dial 127.0.0.1, where its peer listens on that: \`getent ahosts localhost\` and \`${inNetns(netns, 'ss -ltnp')}\``,
      `${off} For ${LOOPBACK6} alone: \`${inNetns(netns, 'sysctl -w net.ipv6.conf.lo.disable_ipv6=0')}\``,
    ];
  return [
    `the name that it dials has an address of IPv6 too: most programs go on with one of IPv4, and then nothing is amiss; one that does not is told to (an option like -4 or “prefer IPv4”): \`getent ahosts NAME\``,
    `${off} What this host has: \`${inNetns(netns, 'ip -6 addr')}\``,
  ];
}

/** The same of a service that would listen there. */
export function bindsWithoutIpv6Advice(saddr: string, netns: number): string[] {
  const as = saddr === LOOPBACK6 ? ', as “localhost” has it in many settings,' : '';
  return [
    `the program would listen on ${saddr}${as} and may go on with what it has of IPv4, or end: what listens now? \`${inNetns(netns, 'ss -ltnp')}\` Where nothing of it does, name an address of IPv4 in its settings, or none`,
    `${isOff(netns)} Turn it on, with lo for ${LOOPBACK6}: \`${inNetns(netns, 'sysctl -w net.ipv6.conf.all.disable_ipv6=0')}\` and \`${inNetns(netns, 'sysctl -w net.ipv6.conf.lo.disable_ipv6=0')}\``,
  ];
}

function isOff(netns: number): string {
  return `is it turned off? \`${inNetns(netns, 'sysctl -a -r disable_ipv6')}\``;
}
