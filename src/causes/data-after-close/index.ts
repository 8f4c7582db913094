// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { servedAtSource, service } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { NO_REASON } from '../shared/kernel.ts';
import { ownerOf } from '../shared/processes.ts';

export default defineCause({
  id: 'data-after-close',
  title: 'the peer sent data after we had closed',
  severity: 'warning',
  explains:
    'The peer sent data to a connection that the process here had closed: nobody can read it, so it is reset.',
  needs: ['reset_sent'],
  on: ['reset_sent'],
  supersedes: ['reset-by-peer', 'connection-unknown'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, reason } = event.body;
    if (!packet || !sock) return null;
    const name = known.resetReason(reason);
    const timewait = sock.state === TCP_STATE.TIME_WAIT && packet.payload_len > 0;
    // Without a reason: the socket was closed by this very segment, in FIN_WAIT1 or FIN_WAIT2.
    const finished =
      name === NO_REASON &&
      sock.state === TCP_STATE.CLOSE &&
      packet.payload_len > 0 &&
      (sock.previous_state === TCP_STATE.FIN_WAIT1 || sock.previous_state === TCP_STATE.FIN_WAIT2);
    if (!timewait && !finished && name !== 'TCP_ABORT_ON_DATA') return null;
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
      group: servedAtSource(packet.flow)
        ? `${event.netns} from ${saddr} ${sport}`
        : `${event.netns} at ${daddr} ${dport}`,
      owner: ownerOf(sock.owner),
    };
  },
  summary({ local: at, peer, payload_bytes }) {
    return `${peer} sent ${payload_bytes} bytes to ${at} after it was closed`;
  },
  advice({ local: at, peer }) {
    return [
      `${at} closed first and ${peer} did not know yet: make the side that sends be the one that closes`,
      `HTTP: keepalive_timeout of the server (${at}) above the idle timeout of its client or balancer (${peer})`,
    ];
  },
});
