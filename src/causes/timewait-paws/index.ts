// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { before, distance } from '../../tcp/sequence.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import type { Packet, Sock, Stamp } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { ownerOf } from '../shared/processes.ts';
import { SILENCE } from '../shared/silence.ts';
import { word } from '../shared/wording.ts';

export default defineCause({
  id: 'timewait-paws',
  title: 'a SYN is older than the connection that ended on the same ports',
  severity: 'warning',
  explains:
    'A SYN for a connection in TIME_WAIT carries an older timestamp than that connection had, so it is not answered with a SYN-ACK.',
  seenAs: ['connect-hangs', 'connect-late'],
  needs: ['timewait'],
  on: ['syn_received', 'drop'],
  leadsTo: SILENCE,
  match(event) {
    const seen = refused(event);
    if (!seen) return null;
    const { packet, listener, remembered, basis } = seen;
    const { saddr, sport, daddr, dport } = packet.flow;
    return {
      evidence: {
        to: endpoint(daddr, dport),
        client: endpoint(saddr, sport),
        tsval: packet.tsval,
        remembered_tsval: remembered.tsval,
        behind: distance(packet.tsval, remembered.tsval),
        timewait_age_s: remembered.age_s,
      },
      basis,
      subject: 'listener',
      where: endpoint(daddr, dport),
      flow: packet.flow,
      group: `${event.netns} ${daddr} ${dport} ${saddr}`,
      owner: ownerOf(listener?.owner),
    };
  },
  summary({ to, client, tsval, remembered_tsval, timewait_age_s }) {
    return `SYN from ${client} to ${to} refused by TIME_WAIT: its TSval ${tsval} is older than ${remembered_tsval}, ${timewait_age_s} s ago`;
  },
  advice({ client, to }, { saddr, daddr, dport }) {
    return [
      `do several hosts arrive as ${saddr}? Each has a timestamp clock of its own: give the translator more source addresses, or let it keep a port longer than 60 s before it uses it again`,
      `see who waits here: \`ss -tan state time-wait src ${word(endpoint(daddr, dport))} and dst ${word(bracketed(saddr))}\``,
      `${client} connects 1 s late if it gets our answer and its reset comes back. If it takes 60 s, something on the way drops one of the two as invalid. On the translator: \`sysctl net.netfilter.nf_conntrack_tcp_be_liberal\` Here this has to be 0: \`sysctl net.ipv4.tcp_rfc1337\``,
      `let the client close first, then TIME_WAIT is on its side: does the service of ${to} close after each answer (keep-alive off)?`,
    ];
  },
});

interface Refused {
  packet: Packet;
  listener: Sock | null;
  remembered: Stamp;
  basis: 'direct' | 'inferred';
}

function refused({ kind, body }: Event): Refused | null {
  if (kind !== 'syn_received' && kind !== 'drop') return null;
  const { packet, remembered } = body;
  if (!isSyn(packet) || !remembered || !before(packet.tsval, remembered.tsval)) return null;
  if (kind === 'drop') {
    const inTimeWait = body.sock?.state === TCP_STATE.TIME_WAIT;
    return inTimeWait ? { packet, listener: null, remembered, basis: 'direct' } : null;
  }
  const { mib, listener } = body;
  if (mib.paws_estab === 0 && mib.paws_timewait === 0) return null;
  return { packet, listener, remembered, basis: mib.mixed ? 'inferred' : 'direct' };
}

function isSyn({ flags, has_timestamps }: Packet): boolean {
  return (flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn && has_timestamps === 1;
}
