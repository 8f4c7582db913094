// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { callers, NO_REASON } from '../shared/kernel.ts';
import { heardOf } from '../shared/neighbours.ts';
import { ofSilence } from '../shared/silence.ts';
import { unreachableAdvice } from '../shared/unreachable.ts';
import { word } from '../shared/wording.ts';

export default defineCause({
  id: 'keepalive-timeout',
  title: 'keepalive was not answered',
  severity: 'warning',
  explains:
    'An idle connection was ended because the peer did not answer keepalive probes: it is gone, or the path forgot the connection.',
  seenAs: ['fails-after-pause', 'times-out'],
  needs: ['reset_sent'],
  on: ['reset_sent'],
  supersedes: ['reset-by-peer', 'connection-unknown'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, stack, reason } = event.body;
    if (packet || !sock) return null;
    const name = known.resetReason(reason);
    // The same timer ends orphans in FIN_WAIT2: before 6.12, which gives the reason, not told apart there.
    const byTimer =
      name === NO_REASON &&
      sock.state !== TCP_STATE.FIN_WAIT2 &&
      callers(stack, known).includes('tcp_keepalive_timer');
    if (name !== 'TCP_KEEPALIVE_TIMEOUT' && !byTimer) return null;
    return {
      evidence: {
        local: local(sock.flow),
        peer: remote(sock.flow),
        unanswered_probes: sock.unanswered_probes,
        user_timeout_ms: sock.user_timeout_ms || null,
        path_error: heardOf(event.netns, event.body, sock.flow, known),
        tcp_keepalive_time: known.sysctl('net/ipv4/tcp_keepalive_time', event.netns),
      },
      ...ofSilence(event, sock, null),
    };
  },
  summary({ peer, unanswered_probes, user_timeout_ms, path_error: why }) {
    const probes =
      unanswered_probes === 1 ? 'a keepalive probe' : `${unanswered_probes} keepalive probes`;
    const limit =
      user_timeout_ms === null ? '' : ` within TCP_USER_TIMEOUT (${user_timeout_ms} ms)`;
    return `${peer} did not answer ${probes}${limit}: the idle connection was reset${why === null ? '' : `: ${why}`}`;
  },
  advice({ local: at, peer, path_error: why }, flow) {
    const { saddr, daddr } = flow;
    return [
      ...unreachableAdvice(why, flow),
      `is ${daddr} still there? \`ping -c 3 ${daddr}\` Does it have the connection? On it: \`ss -tn dst ${word(bracketed(saddr))}\``,
      `it has: a firewall, NAT or balancer between forgot an idle connection: have ${at} or ${peer} probe sooner than its idle limit (TCP_KEEPIDLE on the socket, net.ipv4.tcp_keepalive_time; on a Linux hop net.netfilter.nf_conntrack_tcp_timeout_established)`,
      `are the probes dropped there? On ${daddr}: \`tcpwhy trace ${word(peer)}\``,
    ];
  },
});
