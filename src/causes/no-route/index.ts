// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { bracketed, familyOf, isLinkLocal, isLoopback } from '../../tcp/address.ts';
import { beforeRedirect } from '../../tcp/conntrack.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { ERRNO, errnoName } from '../../tcp/errno.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import type { Event } from '../../wire/event.ts';
import type { ConnectAsked } from '../../wire/types.gen.ts';
import { defineCause, type Match } from '../define.ts';
import { redirectAdvice, unroutable } from '../shared/conntrack.ts';
import { type RefusedBy, refusalOf, refusedBy, tableName } from '../shared/denied.ts';
import { NO_REASON } from '../shared/kernel.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { SILENCE } from '../shared/silence.ts';
import { tunnelSender } from '../shared/tunnels.ts';
import { deviceName, inWords, word } from '../shared/wording.ts';

/** What a route's errno says of its type: fib_props of net/ipv4/fib_semantics.c, ip6_rt_init_dst() of net/ipv6/route.c. */
const TYPES: Readonly<Record<number, string>> = {
  22: 'blackhole',
  13: 'prohibit',
  113: 'unreachable',
};

export default defineCause({
  id: 'no-route',
  title: 'no route leads there, or one that refuses',
  severity: 'warning',
  explains:
    'A connect from this host, or a segment that it should send on, has no route, or its route drops or refuses everything (blackhole, prohibit, unreachable).',
  seenAs: ['connect-error', 'connect-unreachable', 'dropped'],
  needs: ['drop'],
  on: ['drop', 'call_failed'],
  leadsTo: [...SILENCE, 'icmp-unreachable'],
  match(event, known): Match<Dropped | Refused> | null {
    if (event.kind === 'call_failed') return refused(event, known);
    if (event.kind !== 'drop') return null;
    const asked = unroutable(event, known);
    if (asked) return translated(event, asked);
    const { packet, reason, route_errno, sock, location, conntrack } = event.body;
    // The packet that the tunnel makes of it has no route.
    if (tunnelSender(location, known)) return null;
    const name = known.dropReason(reason);
    // Before there were reasons for it, what a segment has for a route says so: that of no route (IPv6).
    const without =
      name === 'IP_INNOROUTES' ||
      name === 'IP_OUTNOROUTES' ||
      (name === NO_REASON && route_errno === ERRNO.ENETUNREACH);
    const type = TYPES[route_errno];
    if (!without && !(name === NO_REASON && type !== undefined)) return null;
    const { daddr } = packet.flow;
    const dialled = beforeRedirect(packet, conntrack);
    return {
      evidence: {
        route: type ?? null,
        ...(type !== undefined && refusedBy(known.asked(event))),
        from: local(packet.flow),
        to: remote(packet.flow),
        translated_from: dialled && remote(dialled),
        flags: flagsText(packet.flags),
        forwarded: packet.ifindex !== 0,
        of_a_connection: (packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) !== TCP_FLAG.syn,
        arrived_on: packet.ifindex === 0 ? null : packet.device || null,
        netns: event.netns,
      },
      basis: 'direct',
      subject: 'host',
      where: daddr,
      flow: packet.flow,
      ...(dialled && { related: [dialled] }),
      group: `${event.netns} ${type ?? ''} ${daddr}`,
      owner: sock?.owner.pid ? sock.owner : null,
    };
  },
  summary(evidence, { daddr }) {
    if ('error' in evidence) return refusedText(evidence);
    const { route, from, to, flags, forwarded, arrived_on } = evidence;
    const segment = `[${flags}] ${from} → ${to}${forwarded ? ` that came in by ${arrived_on ?? 'an unknown interface'}` : ''}${dialledText(evidence)}`;
    if (mayBeGone(evidence, daddr))
      return `this host has no route for ${segment}, and ${daddr} is no address of its own, or no longer`;
    if (route === null) return `this host has no route for ${segment}`;
    if (evidence.refused_by !== undefined)
      return route === 'blackhole'
        ? `${evidence.refused_by} drops ${segment}, without a word to who sent it`
        : `${evidence.refused_by} refuses ${segment}`;
    if (route === 'blackhole')
      return `a blackhole (a route, or a rule of policy routing) drops ${segment}, without a word to who sent it`;
    return `a route or a rule of policy routing of type ${route} refuses ${segment}`;
  },
  advice(evidence, flow) {
    if ('error' in evidence) return refusedAdvice(evidence, flow.daddr);
    const { route, arrived_on, netns, translated_from, forwarded } = evidence;
    const { refused_by, refusing_table } = evidence;
    const { saddr } = flow;
    const daddr = addressOf(evidence.to);
    const six = familyOf(daddr) === 6 ? '-6 ' : '';
    const came = deviceName(arrived_on);
    const get = `ip route get ${daddr}${came ? ` from ${saddr} iif ${came}` : ''}`;
    const ip = (command: string) => `\`${inNetns(netns, command)}\``;
    return [
      ...(mayBeGone(evidence, daddr)
        ? [
            `was ${daddr} an address of this host (lease, failover, network restart)? Then its connections can send no more: ${ip(`ss -tnp src ${word(bracketed(daddr))}`)} Put it back: ${ip(`ip addr add ${daddr}/PREFIX dev ${came ?? 'DEV'}`)} Who takes it away: ${ip('ip -ts monitor address')}`,
          ]
        : []),
      ...(route === null
        ? [
            `what this host makes of it: ${ip(get)} A route is missing, or the daemon that should have brought it (BGP, OSPF, a network plug-in) has not: ${ip(`ip ${six}route show table all`)} Or a rule of policy routing makes it unreachable: ${ip(`ip ${six}rule`)}`,
            `should it go the usual way? ${ip(`ip ${six}route add default via ROUTER`)}`,
          ]
        : [
            refused_by === undefined
              ? `the route: ${ip(`ip ${six}route show table all${ofType(route)}`)} or, where a rule of policy routing says so: ${ip(`ip ${six}rule`)}`
              : refusing_table === undefined
                ? `the rule: ${ip(`ip ${six}rule`)}`
                : `the route: ${ip(`ip ${six}route show table ${refusing_table}${ofType(route)}`)}`,
            `who put it there? Daemons do while a prefix is withdrawn or a network is being moved; ${ip(get)} says when it is gone`,
          ]),
      ...(translated_from === null
        ? []
        : [redirectAdvice(netns, `what is dialled as ${translated_from}`)]),
      ...(forwarded || translated_from === null
        ? [
            `did it get here by mistake? On ${saddr}: \`ip route get ${translated_from === null ? daddr : addressOf(translated_from)}\``,
          ]
        : []),
    ];
  },
});

const addressOf = (end: string) => end.replace(/:\d+$/, '').replace(/[[\]]/g, '');

/** What came of a rule of this host says what it was before. */
const dialledText = ({ translated_from }: Dropped) =>
  translated_from === null ? '' : `, to which this host has translated ${translated_from}`;

/** A connect of this host, as a rule of its own has sent it on. */
function translated({ body, netns }: Event<'drop'>, asked: ConnectAsked): Match<Dropped> {
  const { packet, dialled, conntrack, sender } = body;
  const before = beforeRedirect(packet, conntrack) ?? packet.flow;
  const route = asked.route_type || (TYPES[asked.route_errno] ?? null);
  return {
    evidence: {
      route,
      ...refusedBy(asked),
      from: local(packet.flow),
      to: remote(packet.flow),
      translated_from: remote(before),
      flags: flagsText(packet.flags),
      forwarded: false,
      of_a_connection: false,
      arrived_on: null,
      netns,
    },
    basis: 'direct',
    subject: 'host',
    where: remote(before),
    flow: before,
    related: [packet.flow],
    group: `${netns} ${route ?? ''} ${remote(before)} ${remote(packet.flow)}`,
    owner: ownerOf(dialled?.owner) ?? ownerOf(sender ?? undefined),
  };
}

/** For `ip route show`, of what a recording that others wrote may say anything. */
const ofType = (route: string | null) =>
  route !== null && /^[a-z]+$/.test(route) ? ` type ${route}` : '';

/**
 * Whether its own address may have been taken away, and with it the route to its network: of IPv6 the kernel
 * gives this reason too where it does not forward.
 */
const mayBeGone = ({ route, forwarded, of_a_connection }: Dropped, daddr: string) =>
  route === null && forwarded && of_a_connection && familyOf(daddr) === 6;

type Dropped = RefusedBy & {
  route: string | null;
  from: string;
  to: string;
  /** What was dialled, where this host sent it elsewhere. */
  translated_from: string | null;
  flags: string;
  forwarded: boolean;
  of_a_connection: boolean;
  arrived_on: string | null;
  netns: number;
};

/** Of a connect, for which there is no segment. */
type Refused = {
  route: string | null;
  prefix: string | null;
  table: string | null;
  rule: string | null;
  dialled: string;
  from: string;
  error: string;
  interface: string | null;
  interface_state: string | null;
  has_global_address: boolean | null;
  /** There was a route by the time that the host was asked. */
  route_since?: true;
  /** Devices whose MTU is too small for IPv6. */
  too_narrow?: { device: string; mtu: number }[];
  netns: number;
};

function refused(event: Event<'call_failed'>, known: Knowledge): Match<Refused> | null {
  const refusal = refusalOf(event, known);
  if (!refusal) return null;
  const { sock, err } = event.body;
  const { daddr, dport } = sock.flow;
  const asked = known.asked(event);
  const { type, prefix, table, rule, found, since } = refusal;
  const hasGlobal = asked && asked.global_addresses > 0;
  return {
    evidence: {
      route: type,
      prefix,
      table: table === null ? null : tableName(table),
      rule,
      dialled: remote(sock.flow),
      from: local(sock.flow),
      error: errorText(err),
      interface: asked?.device || null,
      interface_state: asked?.state || null,
      has_global_address: hasGlobal,
      ...(since && { route_since: true as const }),
      ...(asked && asked.narrow.length > 0 && { too_narrow: asked.narrow }),
      netns: event.netns,
    },
    basis: found ? 'direct' : 'inferred',
    subject: 'host',
    where: remote(sock.flow),
    flow: sock.flow,
    group: `${event.netns} ${type ?? ''} ${daddr} ${dport} ${prefix} ${table} ${rule}${since ? ' since' : ''}`,
    owner: ownerOf(sock.owner),
    // A host without IPv6 tries it all the same, and goes on with IPv4.
    ...(type === null && familyOf(daddr) === 6 && hasGlobal === false && { severity: 'info' }),
  };
}

/** A prohibit route is told by its message: its errno is that of a security module too. */
function errorText(err: number): string {
  return err === ERRNO.EACCES ? 'Permission denied' : errnoName(err);
}

function refusedText({ route, prefix, table, rule, dialled, error, ...evidence }: Refused): string {
  const { interface: device, interface_state, has_global_address, too_narrow } = evidence;
  if (evidence.route_since)
    return `this host had ${route === null ? 'no route' : `a route or rule of type ${route} for what goes`} to ${dialled}, and a moment later it has one that leads there: connect() failed at once (${error})`;
  if (route === null) {
    const why =
      interface_state !== null
        ? `, ${device || 'the device'} that it is bound to is ${interface_state}`
        : device === null && isLoopback(addressOf(dialled))
          ? `, an address of lo: that is down, or ${addressOf(dialled)} was taken away`
          : has_global_address === false && dialled.startsWith('[') && device === null
            ? ': it has no IPv6 address beyond its own segment'
            : device === null
              ? ''
              : ` by ${device}, which the socket is bound to`;
    const off = too_narrow ? `; IPv6 is off on ${too_narrow.map(narrowText).join(', ')}` : '';
    return `this host has no route to ${dialled}${why}${off}: connect() failed at once (${error})`;
  }
  const what =
    rule !== null
      ? `the rule “${rule}”`
      : prefix !== null
        ? `the route “${route} ${prefix}” of table ${table}`
        : `a route of type ${route}`;
  return `${what} refuses the connect to ${dialled} before there is a packet (${error})`;
}

const narrowText = ({ device, mtu }: { device: string; mtu: number }) =>
  `${inWords(device)}, whose MTU of ${mtu} is below 1280`;

function refusedAdvice(evidence: Refused, daddr: string): string[] {
  const { route, rule, table, netns, interface: device, interface_state, too_narrow } = evidence;
  const six = familyOf(daddr) === 6 ? '-6 ' : '';
  const ip = (command: string) => `\`${inNetns(netns, command)}\``;
  const bound = deviceName(device);
  const get = ip(`ip route get ${daddr}${bound ? ` oif ${bound}` : ''}`);
  if (evidence.route_since)
    return [
      `routes come and go here, or came just then: who changes them: ${ip('ip -ts monitor route rule link')} A service that starts with the host has to wait for its network (After=network-online.target), or dial again`,
      `what there is now: ${get}`,
    ];
  if (route === null && device === null && isLoopback(daddr))
    return [
      `is lo up, and does it have ${daddr}? ${ip('ip addr show dev lo')} Nobody has set it up in a namespace that was made by hand: ${ip('ip link set dev lo up')}`,
      ...(six
        ? [`IPv6 may be turned off there: ${ip('sysctl net.ipv6.conf.lo.disable_ipv6')}`]
        : []),
    ];
  if (route === null && device !== null && interface_state === null)
    return [
      `the process asked for ${bound ?? 'that device'} (SO_BINDTODEVICE, or %DEVICE behind the address), and by it nothing leads there: ${get} Which device does? ${ip(`ip route get ${daddr}`)}`,
      isLinkLocal(daddr)
        ? `${daddr} is of one segment: the device that is on it has to stand behind the address (${daddr}%DEVICE): ${ip('ip -6 neigh show')} lists whom each has heard of`
        : `take that device away in the settings of the process, or add a route by it: ${ip(`ip ${six}route add ${daddr} via ROUTER dev ${bound ?? 'DEV'}`)}`,
    ];
  if (route === null)
    return [
      ...(too_narrow ?? []).map(({ device }) => {
        const dev = deviceName(device) ?? 'DEV';
        return `does ${daddr} lie behind ${dev}? IPv6 asks for an MTU of 1280: ${ip(`ip link set dev ${dev} mtu 1280`)} Its addresses and routes went with it, and have to be added again: ${ip(`ip -6 addr show dev ${dev}`)}`;
      }),
      `what this host makes of it: ${get} A route is missing, or the daemon that should have brought it (DHCP, BGP, a network plug-in) has not: ${ip(`ip ${six}route show table all`)} With a device that is down its routes are gone: ${ip('ip -br link')}`,
      `should it go the usual way? ${ip(`ip ${six}route add default via ROUTER`)}`,
    ];
  return [
    rule === null
      ? `the route: ${ip(`ip ${six}route show table ${table ?? 'all'}${ofType(route)}`)}`
      : `the rule: ${ip(`ip ${six}rule`)}`,
    `who put it there? Daemons do while a prefix is withdrawn or a network is being moved, VPNs so that nothing leaves beside them; ${get} says when it is gone`,
  ];
}
