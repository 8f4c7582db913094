// SPDX-License-Identifier: Apache-2.0

import { familyOf } from '../../tcp/address.ts';
import { beforeRedirect } from '../../tcp/conntrack.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { service } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { addressOf, redirectAdvice } from '../shared/conntrack.ts';
import { deviceState, deviceText, failedNeighbour, neighbourDrop } from '../shared/neighbours.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { SILENCE, waited } from '../shared/silence.ts';
import { hopText, resolution } from '../shared/unreachable.ts';
import { deviceName } from '../shared/wording.ts';

/** The oldest of what waits for a neighbour makes room for the newest. */
const QUEUE_FULL = 'NEIGH_QUEUEFULL';
const ENTRY_GONE = 'NEIGH_DEAD';

export default defineCause({
  id: 'neighbour-failed',
  title: 'nobody answers for the next hop',
  severity: 'warning',
  explains:
    'The next hop (the host itself on its own segment, else the gateway) answers neither ARP nor neighbour discovery.',
  seenAs: ['connect-unreachable', 'connect-hangs', 'times-out'],
  needs: ['state', 'icmp', 'neighbour', 'drop'],
  on: ['state_change', 'drop'],
  supersedes: ['syn-resent'],
  leadsTo: [...SILENCE, 'icmp-unreachable'],
  match(event, known) {
    if (event.kind === 'state_change') {
      const { old_state, new_state, sock } = event.body;
      if (old_state !== TCP_STATE.SYN_SENT || new_state !== TCP_STATE.CLOSE) return null;
      const failed = failedNeighbour(event, known);
      if (!failed) return null;
      const { hop, sent_to } = failed;
      const { daddr } = sock.flow;
      const device_state = deviceState(event.netns, hop.device, known);
      return {
        evidence: {
          neighbour: hop.addr as string | null,
          is_gateway: hop.addr !== (sent_to ?? sock.flow).daddr,
          device: hop.device || null,
          asked_by: resolution(daddr),
          dialled: remote(sock.flow) as string | null,
          translated_from: null as string | null,
          ...(sent_to && { redirected_to: remote(sent_to) }),
          from: local(sock.flow),
          to: remote(sock.flow),
          flags: null as string | null,
          ...({} as { has_dialled?: boolean }),
          ...(device_state !== null && { device_state }),
          waited_ms: waited(sock),
          drop_reason: null as string | null,
          netns: event.netns,
        },
        basis: 'direct',
        subject: 'flow',
        where: remote(sock.flow),
        flow: sock.flow,
        group: `${event.netns} ${hop.addr} ${hop.device}`,
        ...(sent_to && { related: [{ ...sent_to, service: sock.flow.service }] }),
        owner: ownerOf(sock.owner),
      };
    }
    if (event.kind !== 'drop') return null;
    const { packet, next_hop, conntrack } = event.body;
    const drop_reason = neighbourDrop(event.body, known);
    // A connection of this host says so itself when it fails.
    const isForwarded = packet.ifindex > 0;
    const isAnswer = (packet.flags & TCP_FLAG.syn) !== 0 && (packet.flags & TCP_FLAG.ack) !== 0;
    if (drop_reason === null || !(isForwarded || isAnswer)) return null;
    const { flow } = packet;
    const before = beforeRedirect(packet, conntrack);
    const addr = next_hop?.addr ?? null;
    const has_dialled = isAnswer && addr === flow.daddr;
    const device = next_hop?.device || packet.device || null;
    const device_state = device && deviceState(event.netns, device, known);
    return {
      evidence: {
        neighbour: addr,
        is_gateway: addr !== null && addr !== flow.daddr,
        device,
        asked_by: resolution(flow.daddr),
        dialled: null,
        translated_from: before && remote(before),
        from: local(flow),
        to: remote(flow),
        flags: flagsText(packet.flags),
        ...(has_dialled && { has_dialled }),
        ...(device_state && { device_state }),
        waited_ms: null,
        drop_reason,
        netns: event.netns,
      },
      basis: 'direct',
      subject: 'flow',
      where: service(flow),
      flow,
      ...(before && { related: [before] }),
      group: `${event.netns} ${addr} ${device} ${drop_reason === QUEUE_FULL ? 'waits' : 'dropped'}`,
      owner: null,
    };
  },
  summary(evidence, { daddr }) {
    const { neighbour, device, dialled, redirected_to, translated_from, from, to, flags } =
      evidence;
    const { is_gateway, drop_reason, device_state } = evidence;
    const hop = hopText(neighbour, device, daddr, is_gateway);
    const asked = `${resolution(daddr)}${deviceText(device, device_state)}`;
    if (dialled !== null)
      return `${hop} does not answer ${asked}: the connect to ${dialled}${redirected_to === undefined ? '' : `, which this host translates to ${redirected_to},`} failed`;
    const before = translated_from === null ? '' : `, dialled as ${translated_from},`;
    const dropped = `[${flags}] ${from} → ${to}${before} was dropped`;
    if (drop_reason === QUEUE_FULL)
      return `${hop} has not answered ${asked} yet, and more waits for that than may: ${dropped}`;
    if (drop_reason === ENTRY_GONE)
      return `the entry of ${hop} was taken away while it was asked for: ${dropped}`;
    const though = evidence.has_dialled ? `, though its SYN came in` : '';
    return `${hop} does not answer ${asked}${though}: ${dropped}`;
  },
  advice(evidence, { daddr: asked }) {
    const { neighbour, device, is_gateway, drop_reason, redirected_to, translated_from } = evidence;
    const { dialled, netns } = evidence;
    const daddr = redirected_to === undefined ? asked : addressOf(redirected_to);
    const dev = deviceName(device) ?? 'DEV';
    if (neighbour === null)
      return [`which next hop? \`ip route get ${daddr}\` and whether it answers: \`ip neigh\``];
    if (drop_reason === QUEUE_FULL)
      return [
        `does it answer by now? \`ip neigh show ${neighbour} dev ${dev}\` FAILED or INCOMPLETE: nobody does`,
        `it does, only too late: may more wait for it? Bytes: \`sysctl net.ipv${familyOf(daddr)}.neigh.${dev}.unres_qlen_bytes\``,
        `an entry that is kept asks less often: \`sysctl net.ipv${familyOf(daddr)}.neigh.${dev}.base_reachable_time_ms\``,
      ];
    const v6 = familyOf(daddr) === 6;
    return [
      ...(evidence.device_state === undefined
        ? []
        : [
            `${dev} first, by which nothing leaves: what is at its other end (a cable, a switch port, a virtual machine, the other device of a pair)? \`${inNetns(netns, `ip -d link show dev ${dev}`)}\``,
          ]),
      ...(evidence.has_dialled
        ? [
            `${neighbour} is up, for its SYN came in. By a router, where a route here takes it for a host of ${dev}’s own network: a netmask that is too wide, or a network of containers that another one has too? \`${inNetns(netns, `ip route get ${neighbour}`)}\` Whose MAC its SYNs have: \`${inNetns(netns, `tcpdump -eni any tcp and src host ${neighbour}`)}\``,
          ]
        : []),
      `is ${neighbour} up, and on the segment of ${dev}? \`ip neigh show ${neighbour} dev ${dev}\` then \`ping -c 3 ${neighbour.startsWith('fe80:') ? `${neighbour}%${dev}` : neighbour}\``,
      is_gateway
        ? `is it the right gateway? \`ip route get ${daddr}\``
        : `is ${neighbour} on this segment at all? Its route says so, without a gateway: \`ip route get ${daddr}\`${dialled === null ? '' : ` That goes elsewhere? Then the socket is bound to ${dev} (SO_BINDTODEVICE), which has no route there: \`ip route get ${daddr} oif ${dev}\``}`,
      `the wrong VLAN or bridge port, a cable, ${v6 ? 'or a firewall there that drops ICMPv6' : 'a filter of ARP, or arp_ignore there (an address that it has on lo)'} loses the questions: \`tcpdump -eni ${dev} 'arp or icmp6'\`${is_gateway ? '' : ` What is on a macvlan of ${dev} does not hear this host itself`}`,
      ...(translated_from === null
        ? []
        : [redirectAdvice(netns, `what is dialled as ${translated_from}`)]),
    ];
  },
});
