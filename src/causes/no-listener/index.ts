// SPDX-License-Identifier: Apache-2.0

import type { Knowledge, Listener } from '../../known/knowledge.ts';
import { familyOf, isLoopback } from '../../tcp/address.ts';
import { endpoint, listensFor, splitEndpoint } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import type { Flow, Packet, Sock } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { redirectAdvice, redirectedFrom } from '../shared/conntrack.ts';
import { programText } from '../shared/droppers.ts';
import { listensOn } from '../shared/listeners.ts';
import { inNetns } from '../shared/netns.ts';
import { portZeroAdvice, portZeroText } from '../shared/port-zero.ts';
import { endAdvice, endOf, exitText, ownerOf } from '../shared/processes.ts';
import { inWords, seconds } from '../shared/wording.ts';

export default defineCause({
  id: 'no-listener',
  title: 'nothing listens on that address and port',
  severity: 'warning',
  explains:
    'A connect was refused because no socket listens on the address and port that it dialled.',
  seenAs: ['connect-refused'],
  needs: ['reset_sent'],
  on: ['reset_sent'],
  supersedes: ['connect-refused', 'reset-by-peer'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock } = event.body;
    if (sock || !packet || (packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) !== TCP_FLAG.syn)
      return null;
    const { daddr, dport } = packet.flow;
    const { dialled: connecting } = event.body;
    const redirected = redirectedFrom(event.body);
    const { saddr } = redirected ?? packet.flow;
    const dialled = redirected && endpoint(redirected.daddr, redirected.dport);
    const elsewhere = known
      .listenersOnPort(dport)
      .map((one) => ({ ...one, far: distance(event.netns, packet, one) }))
      .sort((a, b) => a.far - b.far)
      .slice(0, 5);
    const before = elsewhere.some(({ netns }) => netns === event.netns)
      ? null
      : known.endedListener(event, dport);
    const listened = before && listensFor(before.sock, daddr) ? before : null;
    const others =
      dport === 0 || elsewhere.some(({ netns }) => netns === event.netns)
        ? []
        : otherPorts(event.netns, daddr, known);
    const choosing = event.body.listener ? known.lookupHooks(event.netns) : null;
    return {
      evidence: {
        address: endpoint(daddr, dport),
        ...(choosing &&
          choosing.hooked.length > 0 && { chosen_by: choosing.hooked.map(programText) }),
        listeners_on_port: elsewhere.map(({ netns, sock }) => ({
          address: listensOn(netns, sock, known),
          same_netns: netns === event.netns,
          process: ownerOf(sock.owner) ? `${sock.owner.comm} (${sock.owner.pid})` : null,
          not_for: netns === event.netns ? notFor(packet, sock) : null,
        })),
        ...(listened && {
          listened_before: {
            address: listensOn(event.netns, listened.sock, known),
            process: ownerOf(listened.sock.owner)
              ? `${listened.sock.owner.comm} (${listened.sock.owner.pid})`
              : null,
            ago_ms: Math.round((event.ktime_ns - listened.ktime_ns) / 1e6),
            process_end: listened.exit_status === null ? null : exitText(listened.exit_status),
          },
        }),
        ...(others.length > 0 && { other_ports: others }),
        came_in_on: packet.device || null,
        ...(known.asked(event)?.source_missing === 1 && { address_is_here: false }),
        netns: event.netns,
        from: saddr,
        ...(dialled !== null && { dialled }),
      },
      basis: choosing && choosing.hooked.length > 0 ? 'inferred' : 'direct',
      subject: 'listener',
      where: dialled ?? endpoint(daddr, dport),
      flow: redirected ?? packet.flow,
      ...(redirected && { related: [packet.flow] }),
      group: `${event.netns} ${daddr} ${dport}${dialled === null ? '' : ` for ${dialled}`}`,
      owner: ownerOf(connecting?.owner),
    };
  },
  summary(evidence, { dport }) {
    const { address, listeners_on_port, listened_before, came_in_on, from } = evidence;
    const { dialled: redirected, chosen_by, address_is_here } = evidence;
    const all = listeners_on_port.filter(({ same_netns }) => same_netns);
    const [here] = all;
    const places = [...new Set(all.map(({ address }) => address))].join(' and ');
    const away = listeners_on_port[0];
    const nobodys =
      address_is_here === false ? ', which no device of this host has as its address' : '';
    const dialled =
      redirected === undefined
        ? `${from} dialled ${address}${nobodys}`
        : `${from} dialled ${redirected}, which was redirected by this host to ${address}`;
    switch (here?.not_for) {
      case 'device':
        return `${dialled} by ${came_in_on ?? 'another device'}, but the listener is bound to a device: ${here.address}`;
      case 'family':
        return `${dialled}, but the port is only listened to for IPv${address.startsWith('[') ? 4 : 6}: ${places}`;
      case 'address':
        return `${dialled}, but the port is only listened to on ${places}`;
      case null:
        if (chosen_by !== undefined)
          return `${dialled}, where ${here?.address} listens, and was not given to it: ${chosen_by.join(', ')} chooses the socket (sk_lookup), and found none`;
        return `${dialled}, which had no listener then: ${here?.address} listens now`;
    }
    if (listened_before) {
      const { process, ago_ms, process_end } = listened_before;
      const who = process ?? 'a process';
      const end = process_end === null ? 'closed the listener' : endOf(process_end);
      return `${dialled}, where nothing listens any more: ${who} did, and ${end} ${seconds(ago_ms)} before`;
    }
    if (away)
      return `${dialled}; nothing listens there, but in another network namespace on ${away.address}`;
    return `${dialled}, where nothing listens${portZeroText(dport)}`;
  },
  advice(evidence, flow) {
    const { dialled, address, netns } = evidence;
    if (flow.dport === 0) return [portZeroAdvice(evidence.from)];
    if (dialled === undefined)
      return [
        ...(evidence.address_is_here === false ? delivered(evidence, flow) : []),
        ...listenAdvice(evidence, flow.dport),
      ];
    const port = Number(address.replace(/^.*:/, ''));
    const [first = '', ...more] = listenAdvice(evidence, port);
    return [
      evidence.listeners_on_port.some(({ same_netns }) => same_netns)
        ? first.replace('what the client dials', 'where the rule sends it')
        : `start what shall take these connections on ${address} (a proxy that comes up later than its clients?): \`ss -ltnp 'sport = :${port}'\``,
      redirectAdvice(netns, dialled),
      ...more.filter((line) => line.startsWith('who listens')),
      ...gone(evidence),
    ];
  },
  ofMany: {
    scan: 'a port scan',
    advice: ({ from, netns }) => [
      `ask who runs ${from} whether this is meant: a monitor or an inventory scans too`,
      `else keep it out where it comes in, which also spares this host the resets: \`nft add table inet scan; nft add chain inet scan in '{ type filter hook input priority -10; }'; nft add rule inet scan in ${familyOf(from) === 6 ? 'ip6' : 'ip'} saddr ${from} drop\` To take it back: \`nft delete table inet scan\``,
      `what is open meanwhile: \`${inNetns(netns, 'ss -ltn')}\``,
    ],
  },
});

/** A route says that the address is this host's: of a proxy, mostly. */
function delivered({ netns }: Refused, { saddr, daddr }: Flow): string[] {
  const six = familyOf(daddr) === 6 ? '-6 ' : '';
  return [
    `a route of type local delivers ${daddr} here, for a proxy (TPROXY) or a whole network (AnyIP): \`${inNetns(netns, `ip ${six}route show table all type local`)}\` and \`${inNetns(netns, `ip ${six}rule`)}\` The rule that marks what the proxy shall take: \`${inNetns(netns, 'nft -a list ruleset')} | grep -nE 'tproxy|mark set'\``,
    `is the proxy up, with a listener that takes foreign addresses (IP_TRANSPARENT)? \`${inNetns(netns, 'ss -ltnp')}\` Where it is down ${saddr} is refused in the name of ${daddr}, or, of IPv4 and where that route is not in table local, gets no answer: the reset has no address to leave from`,
  ];
}

/** As many as a container has; more say nothing of what was meant. */
const FEW = 3;

/** Each end that the address is listened to on, with one of those who do; none where these are more than FEW. */
function otherPorts(netns: number, daddr: string, known: Knowledge): string[] {
  const ends = new Map<string, string>();
  for (const { sock } of known.listenersIn(netns)) {
    if (!listensFor(sock, daddr)) continue;
    const end = listensOn(netns, sock, known);
    const { comm, pid } = sock.owner;
    ends.set(end, ownerOf(sock.owner) ? `${end} (${comm}, ${pid})` : end);
    if (ends.size > FEW) return [];
  }
  return [...ends.values()];
}

interface Refused {
  address: string;
  from: string;
  other_ports?: string[];
  chosen_by?: string[];
  listeners_on_port: {
    address: string;
    same_netns: boolean;
    process: string | null;
    not_for: string | null;
  }[];
  listened_before?: {
    address: string;
    process: string | null;
    ago_ms: number;
    process_end: string | null;
  };
  came_in_on: string | null;
  address_is_here?: boolean;
  netns: number;
}

/** Where it had been listened to a while before. */
function gone({ address, listened_before: before }: Refused): string[] {
  if (before === undefined) return [];
  const who = before.process === null ? 'the process' : inWords(before.process);
  return [
    ...(before.process_end === null ? [] : [endAdvice(before.process_end, address)]),
    `a restart of ${who}? Then it ends when ${address} listens again: let the new one listen before the old one ends (SO_REUSEPORT), or pass the listening socket on (systemd socket activation), and have clients try again`,
  ];
}

function listenAdvice(evidence: Refused, dport: number): string[] {
  const { address, listeners_on_port, came_in_on, netns, chosen_by } = evidence;
  const here = listeners_on_port.find(({ same_netns }) => same_netns);
  if (here?.not_for === null && chosen_by !== undefined)
    return [
      `what it does with port ${dport}, and whose it is: \`${inNetns(netns, 'bpftool link')}\` and ${chosen_by.map((one) => `\`bpftool prog show id ${one.match(/id (\d+)/)?.[1]}\``).join(' ')}`,
      `was the listener of ${address} restarted a moment before, and is it in the map from which the program takes its sockets? \`bpftool map\``,
    ];
  if (here) {
    const who = here.process === null ? 'the process' : inWords(here.process);
    const look = `who listens on the port: \`ss -ltnp 'sport = :${dport}'\``;
    switch (here.not_for) {
      case 'device':
        return [
          `${who} listens on ${inWords(here.address)} alone (SO_BINDTODEVICE, or a VRF): do without that, or let the client come in by that device and not by ${inWords(came_in_on ?? 'another')}`,
          look,
        ];
      case 'family':
        return [
          `${who} listens on ${inWords(here.address)}, which is not for ${address}: let it listen on the other family too, or (an IPv6 one) without IPV6_V6ONLY: \`sysctl net.ipv6.bindv6only\``,
          look,
        ];
      case 'address':
        return [
          `${who} listens on ${inWords(here.address)}, not on ${address}: change its bind address, or what the client dials`,
          ...(onLoopback(address) && onLoopback(here.address)
            ? [
                `“localhost” is both ::1 and 127.0.0.1, and which is tried first is up to the program and its host: \`getent ahosts localhost\` Dial ${inWords(here.address)} by its number, or listen on both`,
              ]
            : []),
          look,
        ];
      default:
        return [
          `${who} listens on ${inWords(here.address)} now: was it restarted a moment before? Else a program of the namespace chooses listeners (BPF sk_lookup): \`bpftool net\``,
          look,
        ];
    }
  }
  const before = gone(evidence);
  if (before.length > 0)
    return [...before, `does it listen again? \`ss -ltnp 'sport = :${dport}'\``];
  const { other_ports } = evidence;
  return [
    `start the service, or correct the port that the client dials: \`ss -ltnp 'sport = :${dport}'\``,
    ...(other_ports === undefined
      ? []
      : [
          `what listens for that address in this namespace, as far as is known: ${inWords(other_ports.join(', '))}. Was that meant? Then another port is to be dialled, or published (docker -p, targetPort of a Service)`,
        ]),
    ...(isLoopback(evidence.from)
      ? [
          `a service that is there may listen on a UNIX socket only, as databases do: \`${inNetns(netns, 'ss -xlp')}\``,
        ]
      : []),
    `look in the namespace that the packet reached: \`lsns -t net | grep ${netns}\``,
  ];
}

/** Those that come nearest to what was dialled are told first. */
function distance(netns: number, packet: Packet, listener: Listener): number {
  if (listener.netns !== netns) return 4;
  const reason = notFor(packet, listener.sock);
  if (reason === null) return 0;
  if (reason === 'device') return 1;
  const alike = familyOf(listener.sock.flow.saddr) === familyOf(packet.flow.daddr);
  return reason === 'address' && alike ? 2 : 3;
}

/** Why a listener on the port that was dialled is not for what was dialled; null: nothing is known to speak against it. */
function notFor(
  { flow: { daddr }, ifindex }: Packet,
  { flow: { saddr }, ipv6_only, bound_ifindex }: Sock,
): 'address' | 'family' | 'device' | null {
  const ipv6 = familyOf(daddr) === 6;
  const any = saddr === '0.0.0.0' || saddr === '::';
  if (any && (ipv6 ? saddr === '0.0.0.0' : saddr === '::' && ipv6_only === 1)) return 'family';
  if (!any && saddr !== daddr) return 'address';
  return bound_ifindex !== 0 && bound_ifindex !== ifindex ? 'device' : null;
}

const onLoopback = (end: string) => isLoopback(splitEndpoint(end)?.host ?? '');
