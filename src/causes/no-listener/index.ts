// SPDX-License-Identifier: Apache-2.0

import { defineCause, endpoint, inWords, ownerOf, TCP_FLAG } from '../define.ts';

export default defineCause({
  id: 'no-listener',
  title: 'nothing listens on that address and port',
  severity: 'warning',
  explains:
    'A connect was refused because no socket listens on the address and port that it dialled.',
  needs: ['reset_sent'],
  on: ['reset_sent'],
  supersedes: ['connect-refused', 'reset-by-peer'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock } = event.body;
    if (sock || !packet || (packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) !== TCP_FLAG.syn)
      return null;
    const elsewhere = known.listenersOnPort(packet.flow.dport).slice(0, 5);
    return {
      evidence: {
        address: endpoint(packet.flow.daddr, packet.flow.dport),
        listeners_on_port: elsewhere.map(({ netns, sock: { flow, owner } }) => ({
          address: endpoint(flow.saddr, flow.sport),
          same_netns: netns === event.netns,
          process: ownerOf(owner) ? `${owner.comm} (${owner.pid})` : null,
        })),
        netns: event.netns,
        from: packet.flow.saddr,
      },
      basis: 'direct',
      subject: 'listener',
      where: endpoint(packet.flow.daddr, packet.flow.dport),
      flow: packet.flow,
      group: `${event.netns} ${packet.flow.daddr} ${packet.flow.dport}`,
      owner: null,
    };
  },
  summary({ address, listeners_on_port, from }) {
    const here = listeners_on_port.find(({ same_netns }) => same_netns);
    const away = listeners_on_port[0];
    if (here)
      return `${from} dialled ${address}, but the port is only listened to on ${here.address}`;
    if (away)
      return `${from} dialled ${address}; nothing listens there, but in another network namespace on ${away.address}`;
    return `${from} dialled ${address}, where nothing listens`;
  },
  advice({ address, listeners_on_port, netns }, { dport }) {
    const here = listeners_on_port.find(({ same_netns }) => same_netns);
    if (here) {
      return [
        `${here.process === null ? 'the process' : inWords(here.process)} listens on ${here.address}, not on ${address}: change its bind address, or what the client dials`,
        `who listens on the port: \`ss -ltnp 'sport = :${dport}'\``,
      ];
    }
    return [
      `start the service, or correct the port that the client dials: \`ss -ltnp 'sport = :${dport}'\``,
      `look in the namespace that the packet reached: \`lsns -t net | grep ${netns}\``,
    ];
  },
});
