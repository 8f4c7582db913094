// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import type { Packet, Sock } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { isRequestFunction, NO_REASON } from '../shared/kernel.ts';
import { ownerOf } from '../shared/processes.ts';

/** What the listener made of the second SYN. */
type Outcome = 'acknowledged' | 'older timestamp' | 'reset';

export default defineCause({
  id: 'pending-request-collision',
  title: 'a second SYN for a handshake that is pending',
  severity: 'warning',
  explains:
    'While a handshake was pending a SYN with another sequence number came from the same address and port: two hosts behind one address, or a client that dials again from the port that it has just used.',
  seenAs: ['connect-late'],
  needs: ['drop', 'reset_sent', 'syn_fate'],
  on: ['drop', 'reset_sent', 'syn_received'],
  // The client that dialled second resets what it is answered for the first.
  leadsTo: ['request-reset'],
  match(event, known) {
    const seen = collision(event, known);
    if (!seen) return null;
    const { packet, listener, outcome, basis } = seen;
    const { saddr, sport, daddr, dport } = packet.flow;
    return {
      evidence: {
        listener: endpoint(daddr, dport),
        client: endpoint(saddr, sport),
        outcome,
        seq: packet.seq,
        pending_seq: seen.pending_seq,
        tsval: packet.has_timestamps === 1 ? packet.tsval : null,
        ttl: packet.ttl,
      },
      basis,
      subject: 'listener',
      where: endpoint(daddr, dport),
      flow: packet.flow,
      group: `${event.netns} ${daddr} ${dport} ${saddr}`,
      owner: ownerOf(listener?.owner),
    };
  },
  summary({ listener, client, outcome, seq, pending_seq }) {
    const pending = pending_seq === null ? '' : ` (${pending_seq})`;
    return `a second SYN of ${client}, seq ${seq}, came to ${listener} while the handshake of a first one${pending} is pending: ${SAYS[outcome]}`;
  },
  advice({ client, listener, ttl, outcome }, { saddr, sport, dport }) {
    return [
      `do two hosts come as ${saddr}? A NAT that gives one port to both, or a balancer in front of ${listener}: compare TTL ${ttl}, seq and TSval of its SYNs: \`tcpdump -ni any -vvS src host ${saddr} and tcp src port ${sport} and tcp dst port ${dport}\``,
      `one host that dials again from port ${sport}: its first connect was given up before our SYN-ACK came, or that got lost. On ${saddr}, what binds to that port? \`ss -tanp 'sport = :${sport}'\``,
      outcome === 'reset'
        ? `both handshakes are gone: what comes next from ${client} begins anew`
        : `the second one connects when the first is reset (request-reset), or its time is over: a SYN of ${client} that is sent again succeeds then`,
    ];
  },
});

const SAYS: Readonly<Record<Outcome, string>> = {
  acknowledged: 'it was answered with an acknowledgement of the first',
  'older timestamp':
    'its timestamp is older, so it was answered with an acknowledgement of the first',
  reset: 'both were ended with a reset',
};

interface Collision {
  packet: Packet;
  listener: Sock | null;
  outcome: Outcome;
  /** Initial sequence number of the first; null: not known. */
  pending_seq: number | null;
  basis: 'direct' | 'inferred';
}

const isSyn = ({ flags }: Packet) =>
  (flags & (TCP_FLAG.syn | TCP_FLAG.ack | TCP_FLAG.rst)) === TCP_FLAG.syn;

function collision(event: Event, known: Knowledge): Collision | null {
  if (event.kind === 'reset_sent') {
    const { packet, sock, reason } = event.body;
    if (!packet || !isSyn(packet) || sock?.state !== TCP_STATE.LISTEN) return null;
    // MPTCP answers a SYN of its own with a reset too.
    const name = known.resetReason(reason);
    if (name !== 'INVALID_SYN' && (name !== NO_REASON || sock.mptcp > 0)) return null;
    return { packet, listener: sock, outcome: 'reset', pending_seq: null, basis: 'direct' };
  }
  if (event.kind === 'syn_received') {
    const { packet, listener, mib, remembered } = event.body;
    // Of a connection in TIME_WAIT its last timestamp is remembered: timewait-paws.
    if (!isSyn(packet) || remembered || mib.listen_drops > 0) return null;
    if (mib.paws_estab === 0 && mib.embryonic_rsts === 0) return null;
    const basis = mib.mixed ? 'inferred' : 'direct';
    const outcome = mib.paws_estab > 0 ? 'older timestamp' : 'reset';
    return { packet, listener, outcome, pending_seq: null, basis };
  }
  if (event.kind !== 'drop') return null;
  const { packet, sock, reason, location, mib, peer_isn } = event.body;
  if (!isSyn(packet) || !sock) return null;
  const why = known.dropReason(reason);
  const at = known.symbol(location)?.name;
  if (sock.state === TCP_STATE.NEW_SYN_RECV) {
    if (packet.seq === peer_isn || !isRequestFunction(at)) return null;
    return {
      packet,
      listener: null,
      outcome: 'acknowledged',
      pending_seq: peer_isn,
      basis: 'direct',
    };
  }
  // The kernel names the listener of a request, and gives it reasons of a connection.
  if (sock.state !== TCP_STATE.LISTEN) return null;
  const seen = { packet, listener: sock, pending_seq: null };
  if (why === 'TCP_OVERWINDOW') return { ...seen, outcome: 'acknowledged', basis: 'direct' };
  if (why === 'TCP_RFC7323_PAWS') return { ...seen, outcome: 'older timestamp', basis: 'direct' };
  if (why !== NO_REASON || !mib || mib.paws_estab === 0 || !isRequestFunction(at)) return null;
  return { ...seen, outcome: 'older timestamp', basis: mib.mixed ? 'inferred' : 'direct' };
}
