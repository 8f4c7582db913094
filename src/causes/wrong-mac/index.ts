// SPDX-License-Identifier: Apache-2.0

import { familyOf } from '../../tcp/address.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import { defineCause } from '../define.ts';
import { isForAnotherMac, macText } from '../shared/mac.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceKey, deviceName } from '../shared/wording.ts';

export default defineCause({
  id: 'wrong-mac',
  title: 'for our address, and another MAC',
  severity: 'warning',
  explains:
    'A segment for an address of this host came in a frame for another MAC: the neighbour entry of whoever sent it is stale, or another host has the address too.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop' || !isForAnotherMac(event.body, known)) return null;
    const { packet, frame } = event.body;
    if (!frame?.is_ours) return null;
    const { saddr, sport, daddr, dport } = packet.flow;
    return {
      evidence: {
        address: daddr,
        from: endpoint(saddr, sport),
        to: endpoint(daddr, dport),
        flags: flagsText(packet.flags),
        frame_to_mac: macText(frame.mac_to),
        own_mac: macText(frame.mac_here),
        frame_from_mac: macText(frame.mac_from),
        arrived_on: packet.device || null,
        netns: event.netns,
      },
      basis: 'direct',
      subject: 'host',
      where: daddr,
      flow: packet.flow,
      group: `${event.netns} ${daddr} ${frame.mac_to}`,
      owner: null,
    };
  },
  summary({ address, from, to, flags, frame_to_mac, own_mac, frame_from_mac, arrived_on }) {
    const device = arrived_on ?? 'the device that it came in by';
    return `[${flags}] ${from} → ${to} came in a frame for MAC ${frame_to_mac}, and ${device}, which has ${address}, is ${own_mac}: it is not taken. The frame is of ${frame_from_mac}`;
  },
  advice({ address, frame_to_mac, own_mac, frame_from_mac, arrived_on, netns }, { saddr, daddr }) {
    const device = deviceName(arrived_on) ?? 'DEV';
    const six = familyOf(daddr) === 6;
    const announce = six
      ? `sysctl -w net.ipv6.conf.${deviceKey(device)}.ndisc_notify=1`
      : `arping -U -c 3 -I ${device} -s ${daddr} ${daddr}`;
    const asks = six ? `tcpdump -eni ${device} icmp6` : `arping -D -c 3 -I ${device} ${daddr}`;
    return [
      `where ${frame_from_mac} is (${saddr}, or the last router before this host), which MAC has ${address}? \`ip neigh show ${daddr}\` If it is ${frame_to_mac}: \`ip neigh del ${daddr} dev DEV\` An entry that is PERMANENT was made by hand and never goes by itself`,
      `whose is ${frame_to_mac}? The host that had ${address} before, or has it too: \`${inNetns(netns, asks)}\` ${six ? 'shows who answers for it' : 'is answered if another one has it'}`,
      `${address} came here a short time ago (failover, new network card, cloned machine)? Tell the others of ${own_mac}: \`${inNetns(netns, announce)}\`${six ? ' does so whenever the device comes up' : ''}`,
    ];
  },
});
