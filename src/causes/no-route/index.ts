// SPDX-License-Identifier: Apache-2.0

import { familyOf } from '../../tcp/address.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import { defineCause } from '../define.ts';
import { NO_REASON } from '../shared/kernel.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceName } from '../shared/wording.ts';

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
    'A segment that this host should send on, or out, has no route, or its route drops or refuses everything (blackhole, prohibit, unreachable).',
  needs: ['drop'],
  on: ['drop'],
  leadsTo: [...SILENCE, 'icmp-unreachable'],
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, reason, route_errno, sock } = event.body;
    const name = known.dropReason(reason);
    const without = name === 'IP_INNOROUTES' || name === 'IP_OUTNOROUTES';
    const type = TYPES[route_errno];
    if (!without && !(name === NO_REASON && type !== undefined)) return null;
    const { saddr, sport, daddr, dport } = packet.flow;
    return {
      evidence: {
        route: type ?? null,
        from: endpoint(saddr, sport),
        to: endpoint(daddr, dport),
        flags: flagsText(packet.flags),
        forwarded: packet.ifindex !== 0,
        arrived_on: packet.ifindex === 0 ? null : packet.device || null,
        netns: event.netns,
      },
      basis: 'direct',
      subject: 'host',
      where: daddr,
      flow: packet.flow,
      group: `${event.netns} ${type ?? ''} ${daddr}`,
      owner: sock?.owner.pid ? sock.owner : null,
    };
  },
  summary({ route, from, to, flags, forwarded, arrived_on }) {
    const segment = `[${flags}] ${from} → ${to}${forwarded ? ` that came in by ${arrived_on ?? 'an unknown interface'}` : ''}`;
    if (route === null) return `this host has no route for ${segment}`;
    if (route === 'blackhole')
      return `a blackhole route drops ${segment}, without a word to who sent it`;
    return `a route of type ${route} refuses ${segment}`;
  },
  advice({ route, arrived_on, netns }, { saddr, daddr }) {
    const six = familyOf(daddr) === 6 ? '-6 ' : '';
    const came = deviceName(arrived_on);
    const get = `ip route get ${daddr}${came ? ` from ${saddr} iif ${came}` : ''}`;
    const ip = (command: string) => `\`${inNetns(netns, command)}\``;
    return [
      ...(route === null
        ? [
            `what this host makes of it: ${ip(get)} A route is missing, or the daemon that should have brought it (BGP, OSPF, a network plug-in) has not: ${ip(`ip ${six}route show table all`)}`,
            `should it go the usual way? ${ip(`ip ${six}route add default via ROUTER`)}`,
          ]
        : [
            `the route: ${ip(`ip ${six}route show table all type ${route}`)} or, where a rule of policy routing says so: ${ip(`ip ${six}rule`)}`,
            `who put it there? Daemons do while a prefix is withdrawn or a network is being moved; ${ip(get)} says when it is gone`,
          ]),
      `did it get here by mistake? On ${saddr}: \`ip route get ${daddr}\``,
    ];
  },
});
