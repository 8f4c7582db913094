// SPDX-License-Identifier: Apache-2.0

import { local, remote } from '../../tcp/endpoint.ts';
import { servedAtSource, service } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { waitedAdvice, waitedFor, waitedText } from '../shared/gave-up-on.ts';
import { byService } from '../shared/groups.ts';
import { callers } from '../shared/kernel.ts';
import { closedBy } from '../shared/processes.ts';
import { upstreamAdvice, upstreamUnseen } from '../shared/upstreams.ts';

export default defineCause({
  id: 'linger-zero-close',
  title: 'closed with SO_LINGER 0',
  severity: 'warning',
  explains:
    'A process set SO_LINGER to zero and closed: the connection is reset on purpose, and what was not sent yet is thrown away.',
  seenAs: ['reset'],
  needs: ['reset_sent', 'symbols'],
  on: ['reset_sent'],
  supersedes: ['reset-by-peer', 'connection-unknown'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, stack, reason } = event.body;
    if (packet || !sock || sock.linger !== 1 || sock.linger_time !== 0) return null;
    // A listener's end and ss -K reset too, and children inherit the option: only close() itself counts.
    const by = callers(stack, known);
    const unread = sock.mptcp
      ? sock.unread_bytes > 0
      : known.resetReason(reason) === 'TCP_ABORT_ON_CLOSE';
    const closed =
      (by.includes('__tcp_close') && by.includes('tcp_disconnect')) ||
      (by.includes('__mptcp_close') && !by.includes('mptcp_subflow_queue_clean'));
    if (unread || !closed) return null;
    // So do the health checks of balancers.
    const unused = event.body.unused === 1 && !servedAtSource(sock.flow);
    // And load generators, when all is said. A client may have shut down its direction only, and wait.
    const peer_had_closed =
      sock.previous_state === TCP_STATE.CLOSE_WAIT &&
      sock.unacked_bytes === 0 &&
      !servedAtSource(sock.flow);
    // The same once they have what they asked for (HAProxy's HTTP check).
    const answered =
      !unused &&
      !peer_had_closed &&
      event.body.answered === 1 &&
      sock.previous_state === TCP_STATE.ESTABLISHED &&
      sock.unacked_bytes === 0 &&
      sock.unread_bytes === 0 &&
      !servedAtSource(sock.flow);
    const harmless = unused || peer_had_closed || answered;
    return {
      evidence: {
        local: local(sock.flow),
        peer: remote(sock.flow),
        unacked_bytes: sock.unacked_bytes,
        linger_s: 0,
        ...(!harmless && waitedFor(sock)),
        // What a subflow has to send is not all that the connection has.
        ...(sock.mptcp === 1 && { subflow: true }),
        ...(!harmless && upstreamUnseen(sock.flow, known)),
        ...(unused && { unused }),
        ...(peer_had_closed && { peer_had_closed }),
        ...(answered && { answered }),
      },
      basis: 'direct',
      subject: 'flow',
      where: service(sock.flow),
      flow: sock.flow,
      group: `${byService(event.netns, sock.flow)}${unused ? ' unused' : ''}${peer_had_closed ? ' had closed' : ''}${answered ? ' answered' : ''}`,
      owner: closedBy(event.body, known),
      ...(harmless && { severity: 'info' as const }),
      // Whether that was all, only the peer's end tells.
      ...(answered && { as_far_as_known: true as const }),
    };
  },
  summary(evidence) {
    const { local: at, peer, unused, peer_had_closed, answered, unacked_bytes, subflow } = evidence;
    if (answered)
      return `closed ${at} with SO_LINGER 0 after ${peer} had answered: it got a reset instead of a FIN`;
    if (peer_had_closed)
      return `closed ${at} with SO_LINGER 0 after ${peer} had closed: it got a reset instead of a FIN, and nothing is lost by that`;
    if (unused)
      return `closed ${at} with SO_LINGER 0 before either end had sent anything: ${peer} got a reset instead of a FIN`;
    const what = subflow ? 'what' : `${unacked_bytes} bytes that`;
    const lost =
      unacked_bytes === 0
        ? ''
        : `, and ${what} it had not acknowledged ${subflow ? 'is' : 'are'} thrown away`;
    return `closed ${at} with SO_LINGER 0${waitedText(peer, evidence)}: ${peer} got a reset instead of a FIN${lost}`;
  },
  advice(evidence, flow) {
    const { local: at, peer, unused, peer_had_closed, answered, unacked_bytes } = evidence;
    if (answered)
      return [
        `the health check of a balancer does this once it has read what it asked for, so that no TIME_WAIT is left (HAProxy’s HTTP check): is ${peer} checked from here? Then it is harmless, but that ${peer} may log a failed write, where it had not said all yet`,
        `else ${at}: the program asks for this (setsockopt SO_LINGER {1, 0}, Go SetLinger(0), Node resetAndDestroy()): what ${peer} was still to send, nobody reads`,
      ];
    if (peer_had_closed)
      return [
        `${at}: the program asks for this (setsockopt SO_LINGER {1, 0}), in order to leave no TIME_WAIT. It has no need: who closes last has none. ${peer} sees a reset of a connection that it had closed, and nobody waits for it`,
      ];
    if (unused)
      return [
        `the health check of a balancer does this, so that no TIME_WAIT is left (HAProxy’s check of a TCP server): is ${peer} checked from here? Then it is harmless`,
        `else ${at}: the program asks for this (setsockopt SO_LINGER {1, 0}, Go SetLinger(0), Node resetAndDestroy()): does it give up before its request, and why?`,
      ];
    return [
      ...upstreamAdvice(at, evidence),
      ...waitedAdvice(at, peer, evidence, servedAtSource(flow)),
      `${at}: the program asks for this (setsockopt SO_LINGER {1, 0}, Go SetLinger(0), Node resetAndDestroy(), reset_timedout_connection of nginx, nolinger of HAProxy); remove it unless resets are wanted`,
      ...(unacked_bytes > 0
        ? [
            `without SO_LINGER 0 close() would still send that: what ${peer} was to get may be cut short`,
          ]
        : [
            `a load balancer or a health check often does it to avoid TIME_WAIT: is ${peer} or ${at} one? Then it is harmless`,
          ]),
    ];
  },
});
