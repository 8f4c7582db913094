// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { ERRNO } from '../../tcp/errno.ts';
import { defineCause } from '../define.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceKey, deviceName, inWords } from '../shared/wording.ts';

export default defineCause({
  id: 'rp-filter',
  title: 'the reverse path filter dropped it',
  severity: 'error',
  explains:
    'The segment came in on an interface through which its sender would not be answered, and rp_filter is on.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, reason, mib } = event.body;
    const counted = mib !== null && mib.ip_reverse_path_filter > 0 && mib.mixed === 0;
    const name = known.dropReason(reason);
    const refused = event.body.source_errno === ERRNO.EXDEV;
    // Without reasons (before 5.17) route input frees a packet here for the filter or for no route.
    const inferred =
      !known.hasDropReasons() &&
      !known.checksSources() &&
      (known.symbol(event.body.location)?.name.startsWith('ip_rcv_finish_core') ?? false);
    if (name !== 'IP_RPFILTER' && !counted && !refused && !inferred) return null;
    const { saddr, daddr, dport } = packet.flow;
    const device = packet.device || null;
    return {
      evidence: {
        source: saddr,
        to: endpoint(daddr, dport),
        interface: device,
        ifindex: packet.ifindex,
      },
      basis: inferred && !counted && !refused ? 'inferred' : 'direct',
      subject: 'host',
      where: device ?? `interface ${packet.ifindex}`,
      flow: packet.flow,
      group: `${event.netns} ${packet.ifindex} ${saddr}`,
      owner: null,
    };
  },
  summary({ source, to, interface: device, ifindex }) {
    return `${source} → ${to} arrived on ${device ?? `interface ${ifindex}`}, by which no route leads back to ${source}`;
  },
  advice({ source, interface: device, ifindex }) {
    const name = device === null ? `the interface with index ${ifindex}` : inWords(device);
    const key = deviceKey(deviceName(device) ?? 'DEV');
    return [
      `is the way back right? If it should go out on ${name}, add that route: \`ip route get ${source}\``,
      `the higher of these counts: \`sysctl net.ipv4.conf.${key}.rp_filter net.ipv4.conf.all.rp_filter\` With 2 (loose) any route back is enough, and there is none at all: only a route helps. With 1 (strict), where the ways there and back may differ, make it loose: \`sysctl -w net.ipv4.conf.${key}.rp_filter=2\``,
      `is the way back chosen by a mark (\`ip rule\`, as VPNs do)? The filter asks without it: \`sysctl -w net.ipv4.conf.all.src_valid_mark=1\` if a rule gives the mark to what comes in; else make it loose`,
    ];
  },
});
