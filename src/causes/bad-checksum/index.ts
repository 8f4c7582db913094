// SPDX-License-Identifier: Apache-2.0

import { defineCause, endpoint, flagsText, SILENCE } from '../define.ts';

export default defineCause({
  id: 'bad-checksum',
  title: 'the TCP checksum is wrong',
  severity: 'error',
  explains:
    'A segment arrived with a TCP checksum that does not fit its bytes, so it was dropped without an answer.',
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, reason } = event.body;
    if (known.dropReason(reason) !== 'TCP_CSUM' && packet.checksum_failed === 0) return null;
    const { saddr, sport, daddr, dport } = packet.flow;
    const device = packet.device || null;
    return {
      evidence: {
        from: endpoint(saddr, sport),
        to: endpoint(daddr, dport),
        flags: flagsText(packet.flags),
        payload_bytes: packet.payload_len,
        interface: device,
        ifindex: packet.ifindex,
        ttl: packet.ttl,
      },
      basis: 'direct',
      subject: 'host',
      where: `${saddr} on ${device ?? `interface ${packet.ifindex}`}`,
      flow: packet.flow,
      group: `${event.netns} ${packet.ifindex} ${saddr}`,
      owner: null,
    };
  },
  summary({ from, to, flags, payload_bytes, interface: device, ifindex }) {
    return `[${flags}] ${from} → ${to}, ${payload_bytes} bytes, arrived on ${device ?? `interface ${ifindex}`} with a wrong TCP checksum`;
  },
  advice({ from, interface: device }, { saddr, daddr }) {
    const name = device ?? 'DEV';
    return [
      `is it wrong on the wire? tcpdump -ni ${name} -vv 'tcp and src host ${saddr}' marks it (incorrect)`,
      `sender of ${from} (a virtual machine, container or tunnel that leaves checksums to a device that makes none): on it, ethtool -K DEV tx-checksumming off`,
      `right on the wire, yet refused here? Then the receiving device says so: ethtool -K ${name} rx-checksumming off, and ethtool -S ${name} | grep -iE 'csum|crc'`,
      `a middlebox between ${saddr} and ${daddr} that changes addresses or payload must correct the checksum: count with nstat -az TcpInCsumErrors while taking it out`,
    ];
  },
});
