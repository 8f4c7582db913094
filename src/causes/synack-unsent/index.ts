// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { service } from '../../tcp/service.ts';
import type { Drop } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { isByNetfilter } from '../shared/conntrack.ts';
import { type Dropper, dropper } from '../shared/droppers.ts';
import { neighbourDrop } from '../shared/neighbours.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';

const SYN_ACK = TCP_FLAG.syn | TCP_FLAG.ack;

/** Reasons of what a host drops on the way out, beside rules, next hops, queues and programs. */
const REASONS = new Set([
  'IP_OUTNOROUTES',
  'XFRM_POLICY',
  'TUNNEL_TXINFO',
  'DEV_HDR',
  'FULL_RING',
  'NOMEM',
  'CPU_BACKLOG',
]);

const ON_THE_WAY_OUT = new Set<Dropper | null>([
  'tc',
  'tc egress',
  'redirect',
  'qdisc',
  'cgroup egress',
  'device',
]);

function dropperOf({ reason, location }: Drop, known: Knowledge): Dropper | null {
  const at = known.symbol(location)?.name;
  return dropper(known.dropReason(reason), at, known.hasDropReasons());
}

/** Not a copy that a packet socket (tcpdump) gets, or still held. */
function isOnItsWayOut(drop: Drop, known: Knowledge): boolean {
  return (
    isByNetfilter(drop, known) ||
    neighbourDrop(drop, known) !== null ||
    REASONS.has(known.dropReason(drop.reason)) ||
    ON_THE_WAY_OUT.has(dropperOf(drop, known))
  );
}

export default defineCause({
  id: 'synack-unsent',
  title: 'the SYN-ACK was dropped on its way out of this host',
  severity: 'warning',
  explains:
    'A listener answered a SYN, and this very host dropped the SYN-ACK before it left: a rule, a queue, a program, or a next hop that does not answer.',
  seenAs: ['connect-hangs'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: ['third-ack-missing'],
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, sock, sender, reason, location, leaves_ifindex } = event.body;
    // Made here, and dropped before it arrived anywhere: by any device it would have come in again.
    if ((packet.flags & (SYN_ACK | TCP_FLAG.rst)) !== SYN_ACK || packet.ifindex > 0 || sock)
      return null;
    if (!isOnItsWayOut(event.body, known)) return null;
    return {
      evidence: {
        listener: local(packet.flow),
        client: remote(packet.flow),
        drop_reason: known.dropReason(reason),
        dropped_in: known.symbol(location)?.name ?? null,
        interface:
          packet.device || (leaves_ifindex ? known.device(event.netns, leaves_ifindex) : null),
        netns: event.netns,
      },
      basis: 'direct',
      subject: 'listener',
      where: service(packet.flow),
      flow: packet.flow,
      group: `${event.netns} ${service(packet.flow)} ${reason} ${packet.device}`,
      owner: ownerOf(sender ?? undefined),
      // A queue that loses some of what is sent: it is sent again.
      ...(dropperOf(event.body, known) === 'qdisc' && { severity: 'info' as const }),
    };
  },
  summary({ listener, client, drop_reason, dropped_in, interface: device }) {
    const where = device === null ? '' : ` by ${device}`;
    const at = dropped_in === null ? '' : ` in ${dropped_in}`;
    return `${listener} answered a SYN of ${client}, and this host dropped the SYN-ACK on its way out${where} (${drop_reason}${at})`;
  },
  advice({ listener, netns }, { saddr, sport, daddr }) {
    return [
      `which way does the answer take? \`${inNetns(netns, `ip route get ${daddr} from ${saddr}`)}\``,
      `what stands in it: rules of output and postrouting \`${inNetns(netns, 'nft -a list ruleset')}\`, queues and programs of the device \`${inNetns(netns, 'tc -s qdisc show')}\` \`${inNetns(netns, 'bpftool net show')}\``,
      `the SYN-ACK of ${listener} is sent again after 1, 2, 4 s: how many handshakes wait: \`${inNetns(netns, `ss -tn state syn-recv 'sport = :${sport}'`)}\``,
    ];
  },
});
