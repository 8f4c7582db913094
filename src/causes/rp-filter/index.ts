// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { ERRNO, errnoName } from '../../tcp/errno.ts';
import { defineCause } from '../define.ts';
import { inNetns } from '../shared/netns.ts';
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
    const asked = known.asked(event);
    // The same one: the ways may have changed since, or there are several.
    const back = asked && asked.device !== packet.device ? asked.device : '';
    return {
      evidence: {
        source: saddr,
        to: endpoint(daddr, dport),
        interface: device,
        ifindex: packet.ifindex,
        ...(back !== '' && { way_back_by: back }),
        ...(asked && asked.route_errno !== 0 && { no_way_back: errnoName(asked.route_errno) }),
        netns: event.netns,
      },
      basis: inferred && !counted && !refused ? 'inferred' : 'direct',
      subject: 'host',
      where: device ?? `interface ${packet.ifindex}`,
      flow: packet.flow,
      group: `${event.netns} ${packet.ifindex} ${saddr}`,
      owner: null,
    };
  },
  summary({ source, to, interface: device, ifindex, way_back_by, no_way_back }) {
    const came = `${source} → ${to} arrived on ${device ?? `interface ${ifindex}`}`;
    if (way_back_by !== undefined)
      return `${came}, and the way back to ${source} is by ${way_back_by}`;
    if (no_way_back !== undefined)
      return `${came}, and there is no way back to ${source} at all (${no_way_back})`;
    return `${came}, by which no route leads back to ${source}`;
  },
  advice(evidence) {
    const { source, to, interface: device, ifindex, netns, way_back_by, no_way_back } = evidence;
    const name = device === null ? `the interface with index ${ifindex}` : inWords(device);
    const key = deviceKey(deviceName(device) ?? 'DEV');
    const way = `\`${inNetns(netns, `ip route get ${source}`)}\``;
    const goes =
      way_back_by === undefined
        ? 'is the way back right?'
        : `is ${inWords(way_back_by)} the right way back?`;
    return [
      no_way_back === undefined
        ? `${goes} If it should go out on ${name}, add that route, or a rule for what ${hostOf(to)} sends: ${way}`
        : `add a route to ${source}, by ${name} if that is where it is: ${way}`,
      strictness(evidence, key),
      `is the way back chosen by a mark (\`ip rule\`, as VPNs do)? The filter asks without it: \`${inNetns(netns, 'sysctl -w net.ipv4.conf.all.src_valid_mark=1')}\` if a rule gives the mark to what comes in; else make it loose`,
    ];
  },
});

const hostOf = (end: string) => end.replace(/:\d+$/, '');

/** What the filter asks for, and where it may ask for less. */
function strictness(
  {
    netns,
    way_back_by,
    no_way_back,
  }: { netns: number; way_back_by?: string; no_way_back?: string },
  key: string,
): string {
  const counts = `the higher of these counts: \`${inNetns(netns, `sysctl net.ipv4.conf.${key}.rp_filter net.ipv4.conf.all.rp_filter`)}\``;
  const loose = `make it loose: \`${inNetns(netns, `sysctl -w net.ipv4.conf.${key}.rp_filter=2`)}\``;
  if (way_back_by !== undefined)
    return `${counts} It is 1 (strict: the way back has to be the way that it came by). Where these may differ, ${loose}`;
  const none =
    'With 2 (loose) any route back is enough, and there is none at all: only a route helps.';
  if (no_way_back !== undefined) return `${counts} With 1 (strict), too, only a route helps.`;
  return `${counts} ${none} With 1 (strict), where the ways there and back may differ, ${loose}`;
}
