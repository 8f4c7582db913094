// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { familyOf, isLinkLocal, isLoopback, isMulticast } from '../../tcp/address.ts';
import { ENTRY } from '../../tcp/conntrack.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import { service } from '../../tcp/service.ts';
import type { Drop, Packet } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import {
  leavesLoopback,
  masqueradeLoopback,
  redirectAdvice,
  whereabouts,
} from '../shared/conntrack.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceKey, deviceName } from '../shared/wording.ts';

type Kind =
  | 'own SYN'
  | 'own address'
  | 'loopback source'
  | 'loopback destination'
  | 'loopback translated'
  | 'link-local source'
  | 'invalid source'
  | 'invalid destination';

export default defineCause({
  id: 'martian-source',
  title: 'an address that cannot be where it is',
  severity: 'warning',
  explains:
    'A segment has an address that it cannot have on its way: this host’s own as its source, or one of loopback.',
  seenAs: ['connect-hangs'],
  needs: ['drop', 'tracked'],
  on: ['drop'],
  supersedes: ['netfilter-drop', 'no-route', 'malformed-packet'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const kind = kindOf(event.body, known);
    if (kind === null) return null;
    const { packet, dialled, conntrack } = event.body;
    const connect = dialled?.flow ?? null;
    return {
      evidence: {
        kind,
        from: local(packet.flow),
        to: remote(packet.flow),
        dialled: connect && remote(connect),
        translated_from:
          connect || !conntrack?.sent || !(conntrack.status & ENTRY.DST_NAT)
            ? null
            : remote(conntrack.sent),
        flags: flagsText(packet.flags),
        ...whereabouts(event.body, event.netns, known),
        netns: event.netns,
      },
      basis: 'direct',
      subject: 'flow',
      where: connect ? remote(connect) : service(packet.flow),
      flow: connect ?? packet.flow,
      related: [packet.flow],
      group: `${event.netns} ${kind} ${connect ? remote(connect) : packet.flow.saddr} ${service(packet.flow)}`,
      owner: ownerOf(dialled?.owner),
    };
  },
  summary({ kind, from, to, dialled, translated_from, arrived_on }) {
    const by = arrived_on === null ? '' : ` by ${arrived_on}`;
    switch (kind) {
      case 'own SYN':
        return `this host’s own SYN to ${dialled} came back${by} as ${from} → ${to}, with its own address as source: hairpin`;
      case 'own address':
        return `${from} → ${to} came in${by} with an address of this host as its source`;
      case 'loopback translated':
        return `the connect to ${dialled ?? translated_from} was translated to ${to}, but its source stays ${from}: what comes from loopback may not leave`;
      case 'loopback source':
        return `${from} → ${to} came in${by} with a loopback address as its source: ${sentFrom(from)}`;
      case 'loopback destination':
        return translated_from === null
          ? `${from} → ${to} came in${by}, where loopback addresses may not be reached`
          : `${translated_from} is translated here to ${to}, which what comes in${by} may not reach: it is loopback`;
      case 'link-local source':
        return `${from} → ${to} came in${by} with a link-local source, which may not leave its own segment: its sender has no global address that it could take`;
      case 'invalid destination':
        return `${from} → ${to} came in${by}: no connection can have such a destination`;
      default:
        return `${from} → ${to} came in${by}: no host can have such an address as its source`;
    }
  },
  advice({ kind, from, to, dialled, arrived_on, netns }, { saddr, daddr }) {
    const device = deviceName(arrived_on) ?? 'DEV';
    const mac = `\`tcpdump -eni ${device} host ${saddr}\` shows the sender’s MAC`;
    const localnet = (name: string) =>
      `\`${inNetns(netns, `sysctl -w net.ipv4.conf.${deviceKey(name)}.route_localnet=1`)}\``;
    switch (kind) {
      case 'own SYN':
        return [
          `${dialled} leads back to this host, which a balancer or NAT chose as the backend: have it translate the source too (masquerade, hairpin mode)`,
          `or dial the service here without the way round: \`${inNetns(netns, 'ss -ltn')}\``,
          `the way to it: \`${inNetns(netns, `ip route get ${daddr}`)}\``,
        ];
      case 'own address':
        return [
          `has another host the address ${saddr}, or does what this host sent come back (a loop, a balancer that keeps the source)? ${mac}`,
          `a host may take such packets: \`${inNetns(netns, `sysctl net.ipv4.conf.${deviceKey(device)}.accept_local`)}\``,
        ];
      case 'loopback translated':
        return [
          `dial an address of this host in place of ${dialled ?? 'loopback'}: then its source may leave`,
          `or translate the source as well: \`${inNetns(netns, masqueradeLoopback(saddr))}\` and let it leave: ${localnet('all')} Then services on loopback can be reached from the networks of this host`,
          redirectAdvice(netns, dialled ?? from),
        ];
      case 'loopback source':
        return [
          `whose is it? ${mac}. On that host: \`nft list ruleset | grep -n dnat\``,
          ...(familyOf(saddr) === 6
            ? [
                `there: a program that chooses ${saddr} to connect from (bind() before connect(), an address in its settings, proxy_bind of nginx) shall choose none: IPv6 lets such a connect leave, and no answer can come`,
                `or a rule translates what dials ${saddr}: translate the source there too: \`${masqueradeLoopback(saddr)}\` or dial that host’s own address`,
              ]
            : [
                'there: translate the source too (masquerade what leaves from 127.0.0.0/8), or dial that host’s own address in place of 127.0.0.1',
              ]),
        ];
      case 'loopback destination':
        return [
          `let the rule send it to an address of this host in place of ${to} (redirect does), and the service listen there: \`${inNetns(netns, 'ss -ltn')}\``,
          ...(familyOf(daddr) === 6
            ? []
            : [
                `or allow it on that device: ${localnet(device)} Then loopback services can be reached from that network`,
              ]),
        ];
      case 'link-local source':
        return [
          `give its sender a global address. On it: \`ip -6 addr show scope global\` and \`ip -6 route get ${daddr}\` Whose is ${saddr}? ${mac}`,
          `does this router tell it a prefix to make one of? \`tcpdump -vni ${device} 'icmp6 and ip6[40] == 134'\``,
        ];
      default:
        return [`who sends it? ${mac}`];
    }
  },
});

/** What is wrong with its addresses; null: nothing, or it was told of when the SYN was sent first. */
function kindOf(drop: Drop, known: Knowledge): Kind | null {
  const { packet, dialled } = drop;
  const { saddr, daddr } = packet.flow;
  const own = () => ((dialled?.retransmits ?? 0) === 0 ? 'own SYN' : null);
  const loopback = () => (isLoopback(saddr) ? 'loopback source' : 'loopback destination');
  switch (known.dropReason(drop.reason)) {
    case 'IP_LOCAL_SOURCE':
      return dialled ? own() : 'own address';
    case 'IP_LOCALNET':
      return loopback();
    case 'IP_INHDR':
      return inIpv6Header(packet);
    case 'IP_INNOROUTES':
      return packet.ifindex > 0 && daddr === '::1' ? 'loopback destination' : null;
    case 'IP_INADDRERRORS':
      if (known.symbol(drop.location)?.name === 'ip6_forward' && isLinkLocal(saddr))
        return 'link-local source';
      break;
    case 'IP_INVALID_SOURCE':
      return 'invalid source';
    case 'IP_INVALID_DEST':
      return 'invalid destination';
  }
  if (isUnroutable(drop, known)) {
    if (dialled) return own();
    return isLoopback(saddr) || isLoopback(daddr) ? loopback() : null;
  }
  return (dialled?.retransmits ?? 0) === 0 && leavesLoopback(drop, known)
    ? 'loopback translated'
    : null;
}

/** IPv6 looks at the addresses as it reads the header, and has no reason of its own for them. */
function inIpv6Header({ flow: { saddr, daddr }, device }: Packet): Kind | null {
  if (familyOf(saddr) === 4) return null;
  if (isMulticast(saddr)) return 'invalid source';
  if (device === 'lo') return null;
  if (saddr === '::1') return 'loopback source';
  return daddr === '::1' ? 'loopback destination' : null;
}

const sentFrom = (from: string) =>
  from.startsWith('[')
    ? 'a program of its sender connects from ::1, or a rule there translated (DNAT) a connect to ::1, and not its source'
    : 'its sender translated (DNAT) a connect to loopback, and not its source';

/** Before Linux 6.13 the kernel says only where: as it looked for the way of a packet that came in. */
function isUnroutable({ reason, location, packet }: Drop, known: Knowledge): boolean {
  return (
    packet.ifindex > 0 &&
    packet.device !== 'lo' &&
    ['NOT_SPECIFIED', 'IP_INADDRERRORS'].includes(known.dropReason(reason)) &&
    (known.symbol(location)?.name.startsWith('ip_rcv_finish') ?? false)
  );
}
