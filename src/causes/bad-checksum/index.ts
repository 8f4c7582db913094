// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import { defineCause } from '../define.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceName } from '../shared/wording.ts';

export default defineCause({
  id: 'bad-checksum',
  title: 'the TCP checksum is wrong',
  severity: 'error',
  explains:
    'A segment arrived with a TCP checksum that does not fit its bytes, so it was dropped without an answer.',
  seenAs: ['dropped'],
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
    const name = deviceName(device);
    return [
      `is it wrong on the wire? Then this says so (incorrect): \`tcpdump -ni ${name ?? 'any'} -vv 'tcp and src host ${saddr}'\``,
      `sender of ${from} (a virtual machine, container or tunnel that leaves checksums to a device that makes none): have the kernel of that host make them, on its device: \`ethtool -K DEV tx-checksumming off\``,
      `right on the wire, yet refused here? Does the receiving device count it? \`ethtool -S ${name ?? 'DEV'} | grep -iE 'csum|crc'\` Have the kernel check instead: \`ethtool -K ${name ?? 'DEV'} rx-checksumming off\``,
      `a middlebox between ${saddr} and ${daddr} that changes addresses or payload must correct the checksum: take it out, and see whether this still grows: \`nstat -az TcpInCsumErrors\``,
    ];
  },
});
