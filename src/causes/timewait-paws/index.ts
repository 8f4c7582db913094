// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { bracketed } from '../../tcp/address.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { before, distance } from '../../tcp/sequence.ts';
import type { Event } from '../../wire/event.ts';
import type { Packet, Sock, Stamp } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { ownerOf } from '../shared/processes.ts';
import { SILENCE } from '../shared/silence.ts';
import { keptOut } from '../shared/timewait.ts';
import { word } from '../shared/wording.ts';

export default defineCause({
  id: 'timewait-paws',
  title: 'a SYN is older than the connection that ended on the same ports',
  severity: 'warning',
  explains:
    'A SYN for a connection in TIME_WAIT carries an older timestamp than that connection had, or a number that is not above its, so it is not answered with a SYN-ACK.',
  seenAs: ['connect-hangs', 'connect-late'],
  packets: true,
  needs: ['timewait'],
  on: ['syn_received', 'drop'],
  leadsTo: SILENCE,
  match(event, known) {
    const seen = refused(event, known);
    if (!seen) return null;
    const { packet, listener, remembered, basis } = seen;
    const { saddr, sport, daddr, dport } = packet.flow;
    const tsval = packet.has_timestamps === 1 ? packet.tsval : null;
    return {
      evidence: {
        to: endpoint(daddr, dport),
        client: endpoint(saddr, sport),
        tsval,
        remembered_tsval: remembered?.tsval ?? null,
        behind: tsval === null || !remembered ? null : distance(tsval, remembered.tsval),
        timewait_age_s: remembered?.age_s ?? null,
        ...(seen.by_number && { syn_seq: packet.seq }),
      },
      basis,
      subject: 'listener',
      where: endpoint(daddr, dport),
      flow: packet.flow,
      group: `${event.netns} ${daddr} ${dport} ${saddr}`,
      owner: ownerOf(listener?.owner),
    };
  },
  summary({ to, client, tsval, remembered_tsval, timewait_age_s, syn_seq }) {
    if (syn_seq !== undefined)
      return `SYN from ${client} to ${to} refused by TIME_WAIT: its number (${syn_seq}) is not above those of the connection that ended, and ${
        tsval === null
          ? 'it has no timestamp to tell that it is newer'
          : remembered_tsval === null
            ? 'that one had no timestamps to tell which is newer'
            : `its TSval ${tsval} is no newer either`
      }`;
    return `SYN from ${client} to ${to} refused by TIME_WAIT: its TSval ${tsval} is older than ${remembered_tsval}, ${timewait_age_s} s ago`;
  },
  advice({ client, to, syn_seq, tsval }, { saddr, daddr, dport }) {
    const clock =
      syn_seq === undefined ? 'a timestamp clock of its own' : 'sequence numbers of its own';
    const stamps =
      syn_seq === undefined
        ? []
        : [
            `timestamps at both ends let the newer connection pass: ${
              tsval === null
                ? `${saddr} sends none, or a box on the way takes them out: there \`sysctl net.ipv4.tcp_timestamps\``
                : 'here `sysctl net.ipv4.tcp_timestamps`'
            }`,
          ];
    return [
      `do several hosts arrive as ${saddr}? Each has ${clock}: give the translator more source addresses, or let it keep a port longer than 60 s before it uses it again`,
      `see who waits here: \`ss -tan state time-wait src ${word(endpoint(daddr, dport))} and dst ${word(bracketed(saddr))}\``,
      `${client} connects 1 s late if it gets our answer and its reset comes back. If it takes 60 s, something on the way drops one of the two as invalid. On the translator 1 lets more pass: \`sysctl net.netfilter.nf_conntrack_tcp_be_liberal\` Here this has to be 0: \`sysctl net.ipv4.tcp_rfc1337\``,
      ...stamps,
      `let the client close first, then TIME_WAIT is on its side: does the service of ${to} close after each answer (keep-alive off)?`,
    ];
  },
});

interface Refused {
  packet: Packet;
  listener: Sock | null;
  /** Null where one of the two has no timestamps. */
  remembered: Stamp | null;
  /** Not its timestamp, but its sequence number is too old. */
  by_number: boolean;
  basis: 'direct' | 'inferred';
}

function refused(event: Event, known: Knowledge): Refused | null {
  if (event.kind === 'drop') {
    const { packet, remembered } = event.body;
    const why = keptOut(event, known);
    if (why !== 'stamp' && why !== 'number') return null;
    const by_number = why === 'number';
    return { packet, listener: null, remembered, by_number, basis: 'direct' };
  }
  if (event.kind !== 'syn_received') return null;
  const { packet, remembered, mib, listener } = event.body;
  if (!isSyn(packet) || !remembered || !before(packet.tsval, remembered.tsval)) return null;
  if (mib.paws_estab === 0 && mib.paws_timewait === 0) return null;
  const basis = mib.mixed ? 'inferred' : 'direct';
  return { packet, listener, remembered, by_number: false, basis };
}

function isSyn({ flags, has_timestamps }: Packet): boolean {
  return (flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn && has_timestamps === 1;
}
