// SPDX-License-Identifier: Apache-2.0

import { defineCause, endpoint, ownerOf, service, TCP_STATE } from '../define.ts';

export default defineCause({
  id: 'data-after-close',
  title: 'the peer sent data after we had closed',
  severity: 'warning',
  explains: 'The peer sent data to a connection that the process here had closed: nobody can read it, so it is reset.',
  needs: ['reset_sent'],
  on: ['reset_sent'],
  supersedes: ['reset-by-peer', 'connection-unknown'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, reason } = event.body;
    if (!packet || !sock) return null;
    const name = known.resetReason(reason);
    const timewait = sock.state === TCP_STATE.TIME_WAIT && packet.payload_len > 0;
    if (!timewait && name !== 'TCP_ABORT_ON_DATA') return null;
    const { daddr, dport, saddr, sport } = packet.flow;
    return {
      evidence: {
        local: endpoint(daddr, dport),
        peer: endpoint(saddr, sport),
        payload_bytes: packet.payload_len,
        closed_state: timewait ? 'TIME_WAIT' : 'FIN_WAIT',
      },
      basis: 'direct',
      subject: 'flow',
      where: service(packet.flow),
      flow: packet.flow,
      group: dport <= sport ? `${event.netns} at ${daddr} ${dport}` : `${event.netns} from ${saddr} ${sport}`,
      owner: ownerOf(sock.owner),
    };
  },
  summary({ local: at, peer, payload_bytes }) {
    return `${peer} sent ${payload_bytes} bytes to ${at} after it was closed`;
  },
  advice({ local: at, peer }) {
    return [
      `${at} closed first and ${peer} did not know: a keep-alive timeout shorter here than there does this. Make the side that sends close first`,
      'HTTP: keepalive_timeout of the server above the idle timeout of the client or balancer',
    ];
  },
});
