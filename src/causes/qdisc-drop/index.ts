// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import { service } from '../../tcp/service.ts';
import type { Hooked, Qdisc } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { type Dropper, dropper } from '../shared/droppers.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceName } from '../shared/wording.ts';

/** Drops of tc that are no qdisc's: where its filters are. */
const FILTERS: { readonly [D in Dropper]?: string } = {
  tc: 'tc ',
  'tc ingress': 'tc ingress',
  'tc egress': 'tc egress',
};

export default defineCause({
  id: 'qdisc-drop',
  title: 'this host’s own traffic control dropped it',
  severity: 'info',
  explains:
    'A qdisc or filter of tc on this host dropped the segment: a queue is full, a rate is bounded, or it is made to lose some.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, sock, sender, reason, location } = event.body;
    const name = known.dropReason(reason);
    const by = dropper(name, known.symbol(location)?.name, known.hasDropReasons());
    if (by === null) return null;
    const told = known.hooksOf(event.netns, packet.device);
    // A device that sends nothing has a qdisc that drops all: `device-down`.
    if (told && told.state !== '') return null;
    const at = FILTERS[by];
    const filters =
      at === undefined ? [] : (told?.hooked ?? []).filter(({ hook }) => hook.startsWith(at));
    const isFilter =
      by === 'tc' || (filters.length > 0 && filters.every(({ program_id }) => program_id === 0));
    if (by !== 'qdisc' && !isFilter) return null;
    const qdiscs = by === 'qdisc' ? droppingOf(told?.qdiscs ?? []) : [];
    const sure = known.hasDropReasons() && (isFilter || qdiscs.length === 1);
    if (!known.hasDropReasons() && !isFilter && !qdiscs.some(({ has_dropped }) => has_dropped > 0))
      return null;
    const { saddr, daddr, sport, dport } = packet.flow;
    return {
      evidence: {
        from: endpoint(saddr, sport),
        to: endpoint(daddr, dport),
        flags: flagsText(packet.flags),
        payload_bytes: packet.payload_len,
        interface: packet.device || null,
        qdiscs: qdiscs.map(qdiscText),
        filters: isFilter ? [...new Set(filters.map(filterText))] : [],
        direction: isFilter ? (filters[0]?.hook.slice(3) ?? null) : null,
        drop_reason: name,
        netns: event.netns,
      },
      basis: sure ? 'direct' : 'inferred',
      subject: 'flow',
      where: packet.device || 'a device',
      flow: packet.flow,
      group: `${event.netns} ${service(packet.flow)} ${packet.device} ${isFilter ? 'filter' : 'qdisc'}`,
      owner: ownerOf(sock?.owner) ?? ownerOf(sender ?? undefined),
    };
  },
  summary({ from, to, flags, payload_bytes, interface: device, qdiscs, filters, direction }) {
    const dev = device ?? 'a device';
    const segment = `[${flags}] ${from} → ${to}, ${payload_bytes} bytes`;
    if (filters.length > 0 || direction !== null) {
      const which =
        filters.length > 1
          ? `one of the tc filters ${filters.join('; ')}`
          : `the tc filter ${filters[0]}`;
      return `${which} at ${direction} of ${dev} dropped ${segment}`;
    }
    const which =
      qdiscs.length === 0
        ? 'the qdisc'
        : qdiscs.length === 1
          ? `the qdisc ${qdiscs[0]}`
          : `one of the qdiscs ${qdiscs.join('; ')}`;
    return `${which} of ${dev} dropped ${segment}`;
  },
  advice({ from, to, interface: device, netns, direction }) {
    const dev = deviceName(device) ?? 'DEV';
    if (direction !== null) {
      return [
        `see which filter it is, by what it counts: \`${inNetns(netns, `tc -s filter show dev ${dev} ${direction}`)}\``,
      ];
    }
    return [
      `see what it is set to and how much it drops: \`${inNetns(netns, `tc -s qdisc show dev ${dev}`)}\``,
      `where that is meant (a bounded rate, a short queue), nothing: TCP sends it again and more slowly. Where ${from} → ${to} should be faster, raise its rate or limit, or take it out`,
    ];
  },
});

/** Those that have dropped something, without their parents, which count what their children drop; else all. */
function droppingOf(qdiscs: readonly Qdisc[]): Qdisc[] {
  const dropping = qdiscs.filter(({ has_dropped }) => has_dropped > 0);
  const asked = dropping.length > 0 ? dropping : qdiscs;
  const parents = new Set(asked.map(({ parent }) => parent.replace(/:.*$/, ':')));
  const lowest = asked.filter(({ handle }) => !parents.has(handle));
  // Of one for each queue of the device nobody asks which.
  return [...new Map(lowest.map((qdisc) => [qdiscText(qdisc), qdisc])).values()];
}

function qdiscText({ kind, limits }: Qdisc): string {
  return limits === '' ? kind : `${kind} (${limits})`;
}

function filterText({ kind, priority, actions }: Hooked): string {
  return `${kind} (pref ${priority}${actions.length > 0 ? `, ${actions.join(', ')}` : ''})`;
}
