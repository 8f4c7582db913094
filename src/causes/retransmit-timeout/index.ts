// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { service } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { errnoName } from '../shared/errno.ts';
import { byPeer } from '../shared/groups.ts';
import { ownerOf } from '../shared/processes.ts';
import { idleBefore, waited } from '../shared/silence.ts';
import { endedInSilence, unreachable, unreachableAdvice } from '../shared/unreachable.ts';
import { seconds, word } from '../shared/wording.ts';

export default defineCause({
  id: 'retransmit-timeout',
  title: 'data was never acknowledged',
  severity: 'error',
  explains:
    'An open connection ended with ETIMEDOUT: what was sent was sent again and again, and never acknowledged.',
  needs: ['state'],
  on: ['state_change'],
  // While it waited.
  supersedes: ['retransmitting'],
  match(event, known) {
    if (event.kind !== 'state_change') return null;
    const { old_state, new_state, sock } = event.body;
    if (old_state === TCP_STATE.SYN_SENT || new_state !== TCP_STATE.CLOSE) return null;
    if (!endedInSilence(sock.err) || sock.user_timeout_ms > 0) return null;
    // Keepalive ends with everything acknowledged; a peer that keeps its window shut, with nothing resent.
    if (sock.unacked_bytes === 0 || sock.retransmits === 0) return null;
    const waited_ms = waited(sock);
    return {
      evidence: {
        local: local(sock.flow),
        peer: remote(sock.flow),
        unacked_bytes: sock.unacked_bytes,
        retransmits: sock.retransmits,
        waited_ms,
        idle_before_ms: idleBefore(sock, waited_ms),
        error: errnoName(sock.err),
        unreachable: unreachable(event.body, sock.flow),
        tcp_retries2: known.sysctl('net/ipv4/tcp_retries2', event.netns),
      },
      basis: 'direct',
      subject: 'flow',
      where: service(sock.flow),
      flow: sock.flow,
      group: byPeer(event.netns, sock.flow),
      owner: ownerOf(sock.owner),
      ...(waited_ms !== null && { began_ns: event.ktime_ns - waited_ms * 1e6 }),
    };
  },
  summary({ peer, unacked_bytes, retransmits, waited_ms, idle_before_ms, unreachable: why }) {
    const time = waited_ms === null ? '' : ` in ${seconds(waited_ms)}`;
    const idle =
      idle_before_ms === null
        ? ''
        : `; the connection had been idle for ${seconds(idle_before_ms)}`;
    const times = retransmits === 1 ? 'once' : `${retransmits} times`;
    return `${peer} did not acknowledge ${unacked_bytes} bytes${time}, sent again ${times}${idle}${why === null ? '' : `: ${why}`}`;
  },
  advice({ local: at, peer, tcp_retries2, idle_before_ms, unreachable: why }, flow) {
    const { saddr, daddr } = flow;
    const now = tcp_retries2 === null ? '' : ` (now ${tcp_retries2})`;
    const forgotten =
      idle_before_ms === null
        ? []
        : [
            `nothing was sent for ${seconds(idle_before_ms)} before: a NAT, firewall or balancer between forgets connections that are idle: have ${at} or ${peer} send keepalive sooner (TCP_KEEPIDLE on the socket, net.ipv4.tcp_keepalive_time; on a Linux hop net.netfilter.nf_conntrack_tcp_timeout_established)`,
          ];
    return [
      ...unreachableAdvice(why, flow),
      ...forgotten,
      `is ${daddr} still there? \`ping -c 3 ${daddr}\` On it: \`ss -tn dst ${word(bracketed(saddr))}\` and \`tcpwhy trace ${word(peer)}\``,
      `it is, and only large segments are lost: a tunnel on the way takes less: \`tracepath -n ${daddr}\``,
      `it is, and does not know the connection: a firewall or NAT on the way forgot it and drops instead of resetting: \`conntrack -L -p tcp -s ${saddr} -d ${daddr}\``,
      `${at} knows only after net.ipv4.tcp_retries2${now}: TCP_USER_TIMEOUT on the socket makes it sooner`,
    ];
  },
});
