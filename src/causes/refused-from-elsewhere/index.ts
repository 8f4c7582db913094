// SPDX-License-Identifier: Apache-2.0

import { familyOf } from '../../tcp/address.ts';
import { endpoint, local, remote } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { ownerOf } from '../shared/processes.ts';

export default defineCause({
  id: 'refused-from-elsewhere',
  title: 'refused from an address that was not dialled',
  severity: 'error',
  explains:
    'The reset that answers a connect came from another address than the one dialled, so it is not believed: its destination was translated on the way there and not on the way back.',
  seenAs: ['connect-hangs'],
  packets: true,
  needs: ['drop', 'dialled'],
  on: ['crossed_reply'],
  supersedes: ['crossed-reply'],
  leadsTo: ['connect-given-up', 'connect-timeout', 'syn-resent', 'syn-unanswered'],
  match(event) {
    if (event.kind !== 'crossed_reply') return null;
    const { packet, fits } = event.body;
    if (fits.state !== TCP_STATE.SYN_SENT || !(packet.flags & TCP_FLAG.rst)) return null;
    const { saddr, sport } = packet.flow;
    return {
      evidence: {
        dialled: remote(fits.flow),
        refused_by: endpoint(saddr, sport),
        client: local(fits.flow),
        flags: flagsText(packet.flags),
        ack: packet.ack_seq,
        isn_plus_1: packet.ack_seq,
        ttl: packet.ttl,
      },
      basis: 'direct',
      subject: 'flow',
      where: remote(fits.flow),
      flow: fits.flow,
      related: [packet.flow],
      group: `${event.netns} ${fits.flow.daddr} ${fits.flow.dport} ${saddr} ${sport}`,
      owner: ownerOf(fits.owner),
    };
  },
  summary({ dialled, refused_by }) {
    return `dialled ${dialled}, refused by ${refused_by}, which was not dialled, so the reset is not believed`;
  },
  advice({ dialled, refused_by }, { saddr: client, daddr, dport }) {
    const [, backend = ''] = String(refused_by).match(/^\[?([^\]]*)\]?:\d+$/) ?? [];
    const port = String(refused_by).replace(/^.*:/, '');
    return [
      `${dialled} is translated to ${refused_by}, where nothing listens. On ${backend}: \`ss -ltn 'sport = :${port}'\``,
      `its answers do not return through what translates: on one subnet they go straight to ${client}. On the translating node translate the source too (masquerade): \`conntrack -L ${familyOf(daddr) === 6 ? '-f ipv6 ' : ''}-p tcp -d ${daddr} --dport ${dport}\``,
      `until then a refusal by ${refused_by} looks like silence: the connect waits until it times out`,
    ];
  },
});
