// SPDX-License-Identifier: Apache-2.0

import { endpoint, local } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { isConnection, stateName } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { ownerOf } from '../shared/processes.ts';
import { word } from '../shared/wording.ts';

/** Before 6.12 the timestamp is looked at first. */
const REASONS = new Set(['TCP_INVALID_SYN', 'TCP_RFC7323_PAWS']);

export default defineCause({
  id: 'syn-on-live-connection',
  title: 'a SYN for a connection that is still open here',
  severity: 'warning',
  explains:
    'A SYN arrives from an address and port that has an open connection here: the client, a NAT or a balancer uses the port again.',
  seenAs: ['connect-hangs', 'connect-late'],
  needs: ['refused'],
  on: ['drop'],
  // Its answer makes the client reset what it does not know.
  leadsTo: ['reset-by-peer'],
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, sock, reason, peer_isn } = event.body;
    const isSyn = (packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn;
    if (!isSyn || !sock || !isConnection(sock.state)) return null;
    if (known.hasDropReasons() && !REASONS.has(known.dropReason(reason))) return null;
    // The SYN of this very connection, once more.
    if (packet.seq === peer_isn) return null;
    const { saddr, sport } = packet.flow;
    return {
      evidence: {
        local: local(sock.flow),
        client: endpoint(saddr, sport),
        state: stateName(sock.state),
        syn_seq: packet.seq,
        rcv_nxt: sock.rcv_nxt,
        connection_isn: peer_isn,
        ttl: packet.ttl,
        unread_bytes: sock.unread_bytes,
        unacked_bytes: sock.unacked_bytes,
      },
      basis: 'direct',
      subject: 'listener',
      where: local(sock.flow),
      flow: packet.flow,
      group: `${event.netns} ${local(sock.flow)} ${saddr}`,
      owner: ownerOf(sock.owner),
    };
  },
  summary({ client, local: here, state }) {
    if (state === 'CLOSE_WAIT')
      return `SYN from ${client} to ${here}, where a connection with these ports is still CLOSE_WAIT: its client had closed it, its process here has not`;
    return `SYN from ${client} to ${here}, where the connection with these ports is still ${state}`;
  },
  advice({ client, local: here, state }, { saddr, sport, daddr, dport }) {
    if (state === 'CLOSE_WAIT')
      return [
        `${here}: its process does not close what its clients have closed: it leaks connections. How many are there? \`ss -tanp state close-wait src ${word(endpoint(daddr, dport))}\``,
        `our answer makes ${client} send a reset, which ends the old connection, and its next try works: 1 s late`,
      ];
    return [
      `what is open here (${state}), with which timer and process? \`ss -tanpo src ${word(endpoint(daddr, dport))} and dst ${word(endpoint(saddr, sport))}\``,
      `did the host of ${client} lose the connection (restart, expired NAT entry)? Then our answer makes it send a reset and its next try works: 1 s late. Find connections that died silently sooner: SO_KEEPALIVE and \`sysctl net.ipv4.tcp_keepalive_time\``,
      `a NAT or balancer that gives one port to two hosts, or forgets sooner than ${here} does: give it more ports, or raise its idle timeout above the connection’s. That of conntrack: \`sysctl net.netfilter.nf_conntrack_tcp_timeout_established\``,
    ];
  },
});
