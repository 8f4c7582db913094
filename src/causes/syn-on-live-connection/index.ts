// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { bracketed } from '../../tcp/address.ts';
import { endpoint, local } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { isConnection, stateName, TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import type { Packet } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { ownerOf } from '../shared/processes.ts';
import { keptOut } from '../shared/timewait.ts';
import { word } from '../shared/wording.ts';

/** Before 6.12 the timestamp is looked at first. */
const REASONS = new Set(['TCP_INVALID_SYN', 'TCP_RFC7323_PAWS']);

type Live = {
  local: string;
  client: string;
  state: string;
  /** Of a connection that was closed here: what the SYN was answered with. */
  answer?: string;
  syn_seq: number;
  rcv_nxt?: number;
  connection_isn?: number;
  ttl: number;
  unread_bytes?: number;
  unacked_bytes?: number;
};

export default defineCause<Live>({
  id: 'syn-on-live-connection',
  title: 'a SYN for a connection that is still open here',
  severity: 'warning',
  explains:
    'A SYN arrives from an address and port that has an open connection here: the client, a NAT or a balancer uses the port again.',
  seenAs: ['connect-hangs', 'connect-late'],
  packets: true,
  needs: ['refused'],
  on: ['drop', 'reset_sent'],
  supersedes: ['connect-refused'],
  // Its answer makes the client reset what it does not know.
  leadsTo: ['reset-by-peer'],
  match(event, known) {
    const closed_here = onHalfClosed(event, known);
    if (closed_here) {
      const { packet, answer } = closed_here;
      const { saddr, sport, daddr, dport } = packet.flow;
      return {
        evidence: {
          local: endpoint(daddr, dport),
          client: endpoint(saddr, sport),
          state: 'FIN_WAIT2',
          answer,
          syn_seq: packet.seq,
          ttl: packet.ttl,
        },
        basis: answer === 'reset' ? 'direct' : 'inferred',
        subject: 'listener',
        where: endpoint(daddr, dport),
        flow: packet.flow,
        group: `${event.netns} ${endpoint(daddr, dport)} ${saddr} ${answer}`,
        owner: null,
      };
    }
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
  summary({ client, local: here, state, answer }) {
    if (state === 'FIN_WAIT2')
      return `SYN from ${client} to ${here}, where a connection with these ports is still FIN_WAIT2: closed here, and not by its client; the SYN ${answer === 'reset' ? 'is refused with a reset' : 'is answered as a segment of that one'}`;
    if (state === 'CLOSE_WAIT')
      return `SYN from ${client} to ${here}, where a connection with these ports is still CLOSE_WAIT: its client had closed it, its process here has not`;
    return `SYN from ${client} to ${here}, where the connection with these ports is still ${state}`;
  },
  advice({ client, local: here, state, answer }, { saddr, sport, daddr, dport }) {
    if (state === 'FIN_WAIT2')
      return [
        `the client of the old connection never closed it: it has gone without a FIN (it restarted, lost its network, a NAT forgot it), or it keeps what ${here} has closed. What waits here, and for how long: \`ss -tano state fin-wait-2 src ${word(endpoint(daddr, dport))} and dst ${word(bracketed(saddr))}\``,
        answer === 'reset'
          ? `${client} gets ECONNREFUSED once: the reset ends the old connection too, and its next connect works`
          : `our answer makes ${client} send a reset, which ends the old connection, and its next try works: 1 s late`,
        `do several hosts arrive as ${saddr}? A NAT or balancer used the port again too soon: give it more ports, or let it keep one for longer than net.ipv4.tcp_fin_timeout here`,
      ];
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

/** The connection was closed here, and waits for the peer's FIN: the kernel keeps it like one in TIME_WAIT. */
function onHalfClosed(
  event: Event,
  known: Knowledge,
): { packet: Packet; answer: 'reset' | 'acknowledgement' } | null {
  if (event.kind === 'drop')
    return keptOut(event, known) === 'half_closed'
      ? { packet: event.body.packet, answer: 'acknowledgement' }
      : null;
  if (event.kind !== 'reset_sent') return null;
  const { packet, sock } = event.body;
  const isSyn = packet && (packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn;
  return isSyn && sock?.state === TCP_STATE.TIME_WAIT ? { packet, answer: 'reset' } : null;
}
