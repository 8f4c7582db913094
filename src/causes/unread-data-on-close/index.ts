// SPDX-License-Identifier: Apache-2.0

import { local, remote } from '../../tcp/endpoint.ts';
import { servedAtSource, service } from '../../tcp/service.ts';
import { defineCause } from '../define.ts';
import { byService } from '../shared/groups.ts';
import { callers, NO_REASON } from '../shared/kernel.ts';
import { closedBy, endAdvice, endOfProcess, endText } from '../shared/processes.ts';
import { upstreamAdvice, upstreamUnseen } from '../shared/upstreams.ts';

export default defineCause({
  id: 'unread-data-on-close',
  title: 'closed with unread data',
  severity: 'warning',
  explains:
    'A process closed a connection before it had read everything: the peer gets a reset and may lose what it was sent.',
  seenAs: ['reset'],
  needs: ['reset_sent'],
  on: ['reset_sent'],
  supersedes: ['reset-by-peer', 'connection-unknown'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, reason } = event.body;
    if (packet || !sock) return null;
    const name = known.resetReason(reason);
    const by = sock.unread_bytes > 0 ? callers(event.body.stack, known) : [];
    // MPTCP disconnects its subflows one by one, and the kernel calls that another reason.
    const fromClose =
      (by.includes('__mptcp_close') && !by.includes('mptcp_subflow_queue_clean')) ||
      (name === NO_REASON && by.includes('__tcp_close') && !by.includes('tcp_disconnect'));
    // MPTCP gives that reason to whatever it closes at once.
    const said = name === 'TCP_ABORT_ON_CLOSE' && sock.mptcp === 0;
    if (!said && !fromClose) return null;
    const process_end = endOfProcess(event.body, known);
    return {
      evidence: {
        local: local(sock.flow),
        peer: remote(sock.flow),
        unread_bytes: sock.unread_bytes,
        unacked_bytes: sock.unacked_bytes,
        // What a subflow has sent is not all that the connection has.
        ...(sock.mptcp === 1 && { subflow: true }),
        process_end,
        ...(process_end === null && upstreamUnseen(sock.flow, known)),
      },
      basis: said ? 'direct' : 'inferred',
      subject: 'flow',
      where: service(sock.flow),
      flow: sock.flow,
      group: `${byService(event.netns, sock.flow)} ${process_end ?? ''}`,
      owner: closedBy(event.body, known),
    };
  },
  summary({ local: at, peer, unread_bytes, process_end }) {
    const reset = `with ${unread_bytes} bytes of ${peer} unread: sent a reset instead of a FIN`;
    return process_end === null
      ? `closed ${at} ${reset}`
      : `${at} was closed ${reset}, as ${endText(process_end)}`;
  },
  advice(evidence, flow) {
    const { local: at, peer, unacked_bytes, process_end } = evidence;
    const lost =
      unacked_bytes > 0
        ? [
            `${evidence.subflow ? 'what' : `${unacked_bytes} bytes that`} ${at} had sent ${evidence.subflow ? 'last was' : 'were'} not acknowledged yet: ${peer} may never see ${evidence.subflow ? 'it' : 'them'}`,
          ]
        : [];
    if (process_end !== null) return [endAdvice(process_end, at), ...lost];
    return [
      ...upstreamAdvice(at, evidence),
      `${at}: read to the end before close(), or shutdown(SHUT_WR) and read until 0`,
      ...lost,
      servedAtSource(flow)
        ? `if it refuses early (413, a TLS alert): read what ${peer} still sends before close()`
        : `${at} is the client, and took only a part of the answer (a cancelled request, a body that it does not need, a health check that does not wait for the greeting of MySQL, SMTP or SSH): harmless where that is meant, but ${peer} may log it as an error, and MySQL refuse ${flow.saddr} after max_connect_errors of them; a connection that is read to the end can be used again`,
    ];
  },
});
