// SPDX-License-Identifier: Apache-2.0

import { bracketed, familyOf, isLinkLocal } from '../../tcp/address.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { LOOPBACK_IFINDEX } from '../../tcp/loopback.ts';
import { defineCause } from '../define.ts';
import { NO_REASON } from '../shared/kernel.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceKey, deviceName, inWords, word } from '../shared/wording.ts';

export default defineCause({
  id: 'not-our-address',
  title: 'sent to an address that this host does not have',
  severity: 'warning',
  explains:
    'A segment came in for an address that is none of this host’s, or no longer is: this host does not forward, or has the connection itself.',
  seenAs: ['connect-hangs', 'times-out'],
  needs: ['drop', 'symbols'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, reason, location, sock, sender } = event.body;
    const by = known.symbol(location)?.name ?? '';
    const named = known.dropReason(reason);
    // What a socket of this host waits for is never sent on: the kernel had found the socket first.
    const holder =
      named === NO_REASON && FORWARDING.includes(by) ? ownerOf(sender ?? undefined) : null;
    // Before 6.13 the reason is that of senders too that cannot be where they are.
    const not_forwarded = named === 'IP_INADDRERRORS' && NOT_FORWARDED.includes(by);
    const asked = known.asked(event);
    const opens = (packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn;
    const by_loopback =
      named === 'NO_SOCKET' &&
      packet.ifindex === LOOPBACK_IFINDEX &&
      opens &&
      (asked?.source_missing ?? 0) > 0;
    if (!holder && !not_forwarded && !by_loopback) return null;
    if (sock || packet.ifindex === 0) return null;
    const { saddr, sport, daddr, dport } = packet.flow;
    // Such a source may go nowhere else, whether this host forwards or not.
    if (isLinkLocal(saddr)) return null;
    const six = familyOf(daddr) === 6;
    return {
      evidence: {
        address: daddr,
        from: endpoint(saddr, sport),
        to: endpoint(daddr, dport),
        flags: flagsText(packet.flags),
        of_a_connection: !opens,
        arrived_on: packet.device || null,
        // That the kernel looked for a way on, or for none, says so.
        forwarding: holder ? 1 : 0,
        forwarding_setting: settingOf(six, deviceName(packet.device)),
        duplicate: asked ? asked.duplicate > 0 : null,
        tentative: asked ? asked.tentative > 0 : null,
        ...(by_loopback && { by_loopback }),
        ...(holder && {
          connection_of: `${holder.comm} (${holder.pid})`,
          answers_connect: (packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === SYN_ACK,
        }),
        netns: event.netns,
      },
      basis: holder ? 'inferred' : 'direct',
      subject: 'host',
      where: daddr,
      flow: packet.flow,
      group: `${event.netns} ${daddr}${holder ? ' of a socket' : ''}${by_loopback ? ' by lo' : ''}`,
      owner: holder,
    };
  },
  summary(evidence) {
    const { address, from, to, flags, of_a_connection, arrived_on, duplicate, tentative } =
      evidence;
    const { connection_of, answers_connect, by_loopback, forwarding_setting } = evidence;
    if (by_loopback)
      return `${from} dialled ${to} by lo, from where nothing leaves this host, and ${address} is no address of it`;
    const came = `[${flags}] ${from} → ${to} came in by ${arrived_on ?? 'an unknown interface'}`;
    if (duplicate)
      return `${address} is here but not used, since another host has it too (duplicate address detection failed): ${came}`;
    if (tentative)
      return `${address} is here but not yet used (duplicate address detection): ${came}`;
    if (connection_of !== undefined && !of_a_connection)
      return `${connection_of} was to take what is sent to ${address} (a TPROXY rule gave its listener the SYN), but nothing delivers that here: ${came}, and was dropped`;
    if (connection_of !== undefined)
      return answers_connect
        ? `${address} is no address of this host, where ${connection_of} dialled from it: the answer came in by ${arrived_on ?? 'an unknown interface'} ([${flags}] ${from} → ${to}) and was dropped`
        : `${address} is no longer an address of this host, where ${connection_of} still has the connection: ${came}, and was dropped`;
    // Of a connection it may have been forwarded before.
    const no = of_a_connection ? 'not, or no longer, an address' : 'no address';
    return `${address} is ${no} of this host, which does not pass on what comes in there (${forwarding_setting} is 0): ${came}`;
  },
  advice(evidence, { saddr, daddr }) {
    const { address, of_a_connection, arrived_on, netns, connection_of, answers_connect } =
      evidence;
    const { forwarding_setting, duplicate, tentative, by_loopback } = evidence;
    if (by_loopback)
      return [
        `the program that dials ${evidence.to} is bound to lo (SO_BINDTODEVICE, --interface of curl), or a route leads there: let it choose no device. Which is it? \`${inNetns(netns, `ss -tnp state syn-sent dst ${word(bracketed(daddr))}`)}\``,
        `by which device would it go otherwise? One that says "dev lo" is a route to mend: \`${inNetns(netns, `ip route get ${daddr}`)}\``,
      ];
    const device = deviceName(arrived_on) ?? 'DEV';
    const ip = (command: string) => `\`${inNetns(netns, `ip ${command}`)}\``;
    if (duplicate)
      return [
        `what has failed: ${ip('-6 addr show dadfailed')} Who has ${address} too? The kernel log has the MAC: \`journalctl -k --grep 'duplicate address'\``,
        `once that host has given it up, take it away here and add it again, nothing tries by itself: ${ip(`addr del ${daddr}/PREFIX dev DEV`)} then ${ip(`addr add ${daddr}/PREFIX dev DEV`)}`,
      ];
    if (tentative)
      return [
        `it takes about a second: ${ip('-6 addr show tentative')} A device without carrier does not come to it: ${ip('link')}`,
      ];
    const add = ip(`addr add ${daddr}/PREFIX dev ${device}`);
    const six = familyOf(daddr) === 6 ? '-6 ' : '';
    const family = six ? 'ip6' : 'ip';
    if (connection_of !== undefined) {
      const transparent = [
        `a transparent proxy (IP_TRANSPARENT) has what comes for its sockets delivered here by a mark, a rule and a route: ${ip(`${six}rule`)} and ${ip(`${six}route show table all type local`)} and \`${inNetns(netns, 'nft list ruleset')} | grep -nE 'tproxy|socket|mark set'\``,
        `where they are missing, in that namespace: \`nft add table ${family} proxy && nft 'add chain ${family} proxy p { type filter hook prerouting priority -150; }' && nft add rule ${family} proxy p socket transparent 1 meta mark set 1\` and ${ip(`${six}rule add fwmark 1 lookup 100`)} and ${ip(`${six}route add local default dev lo table 100`)}`,
      ];
      if (!of_a_connection)
        return [
          `a mark, a rule and a route deliver here what a transparent proxy takes. Which mark sets the rule of TPROXY? \`${inNetns(netns, 'nft list ruleset')} | grep -n tproxy\` or \`${inNetns(netns, `${six ? 'ip6tables' : 'iptables'}-save -t mangle`)} | grep -i tproxy\``,
          `which marks are delivered here, by which table: ${ip(`${six}rule`)} and ${ip(`${six}route show table all type local`)} Where that is missing, of mark 1: ${ip(`${six}rule add fwmark 1 lookup 100`)} and ${ip(`${six}route add local default dev lo table 100`)}`,
          `a mark that a later rule overwrites, or that another program’s rules use for something else, does the same: ${ip(`${six}route get ${daddr} from ${saddr} iif ${device} mark 1`)} says “local”, of mark 1, where it is right`,
        ];
      if (answers_connect)
        return [
          `${inWords(connection_of)} dials from an address that is not this host’s (IP_TRANSPARENT, net.ipv4.ip_nonlocal_bind): let it use its own, and tell the server who the client is in another way (PROXY protocol, X-Forwarded-For)`,
          ...transparent,
          `if ${address} should be this host’s (failover): ${add}`,
        ];
      return [
        `was ${address} removed (DHCP lease, failover, network restart)? ${ip('addr')} Put it back: ${add} Who takes it away: ${ip('-ts monitor address')}`,
        `connections that still have it can send no more, and end by their timeouts: \`${inNetns(netns, `ss -tnp src ${word(bracketed(daddr))}`)}\``,
        ...transparent,
      ];
    }
    return [
      ...(of_a_connection
        ? [
            `was ${address} removed (DHCP lease, failover, network restart)? ${ip('addr')} Put it back: ${add} Who takes it away: ${ip('-ts monitor address')}`,
            `connections that still have it, which can send no more (none: it was never here): \`${inNetns(netns, `ss -tnp src ${word(bracketed(daddr))}`)}\``,
          ]
        : [`who should have ${address}? If this host: ${add}`]),
      `if another host has it, the sender’s route or neighbour entry leads here. On the sender: \`ip route get ${daddr}\` and \`ip neigh show ${daddr}\``,
      ...passOn(forwarding_setting, netns),
    ];
  },
});

/** net.ipv4.ip_forward sets that of each device, and what comes back needs it too. */
function passOn(setting: string, netns: number): string[] {
  const set = (name: string) => `\`${inNetns(netns, `sysctl -w ${name}=1`)}\``;
  if (setting === ALL_OF_6)
    return [`if this host shall pass it on (${setting} is 0): ${set(setting)}`];
  return [
    `if this host shall pass it on, all its devices do, for the way back too, with ${set('net.ipv4.ip_forward')} A router, and a host of containers, needs that; who has set it to 0? \`grep -rn forward /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d\``,
    `where that is 1 already, only this device does not (${setting} is 0): ${set(setting)}`,
  ];
}

const ALL_OF_6 = 'net.ipv6.conf.all.forwarding';

/** What lets it go on: of IPv4 the device's that it came in by. */
function settingOf(six: boolean, device: string | null): string {
  return six ? ALL_OF_6 : `net.ipv4.conf.${deviceKey(device ?? 'DEV')}.forwarding`;
}

/** Where a packet for others ends that is not forwarded. */
const NOT_FORWARDED = ['ip_error', 'ip6_forward'];

/** Where one ends that is sent on. */
const FORWARDING = ['ip_forward', 'ip6_forward'];

const SYN_ACK = TCP_FLAG.syn | TCP_FLAG.ack;
