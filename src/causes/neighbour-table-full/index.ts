// SPDX-License-Identifier: Apache-2.0

import { familyOf } from '../../tcp/address.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import { defineCause } from '../define.ts';
import { isWithoutEntry } from '../shared/neighbours.ts';
import { SILENCE } from '../shared/silence.ts';

/** Entries are taken away between the drop and the look at their number. */
const NEARLY = 15 / 16;

export default defineCause({
  id: 'neighbour-table-full',
  title: 'the neighbour table is full',
  severity: 'error',
  explains:
    'The table of next hops and their hardware addresses (ARP, neighbour discovery) is full, so this host drops what goes to one that is not in it.',
  seenAs: ['connect-hangs', 'times-out'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, next_hop, reason, location } = event.body;
    if (!isWithoutEntry(known.dropReason(reason), known.symbol(location)?.name, known)) return null;
    const { flow } = packet;
    const family = familyOf(flow.daddr);
    const table = known.neighbourTable(family);
    const is_full = table !== null && table.entries >= table.max * NEARLY;
    return {
      evidence: {
        table: family === 4 ? 'arp_cache' : 'ndisc_cache',
        entries: is_full ? table.entries : null,
        entries_max: table?.max || null,
        overflows_since_boot: table?.overflows ?? null,
        next_hop: next_hop?.addr ?? null,
        device: next_hop?.device || packet.device || null,
        from: local(flow),
        to: remote(flow),
        flags: flagsText(packet.flags),
      },
      basis: is_full ? 'direct' : 'inferred',
      subject: 'host',
      where: family === 4 ? 'arp_cache' : 'ndisc_cache',
      flow,
      group: `${event.netns} ${family}`,
      owner: null,
    };
  },
  summary({ entries, entries_max, next_hop, from, to, flags }) {
    const many = entries === null ? '' : `: ${entries} of ${entries_max} entries`;
    const hop = next_hop === null ? 'its next hop' : next_hop;
    return `neighbour table full${many}; [${flags}] ${from} → ${to} was dropped, there is no entry for ${hop}`;
  },
  advice({ table, entries, entries_max }, { daddr }) {
    const family = familyOf(daddr);
    const sysctl = `net.ipv${family}.neigh.default.gc_thresh`;
    const max = entries_max ?? 1024;
    return [
      `${entries === null ? 'how many there are and ' : ''}how often there was no room (entries, table_fulls; hexadecimal): \`grep . /proc/net/stat/${table}\` It is one table for the whole machine, containers and all`,
      `whose are they? \`ip -${family} neigh show nud all\` in each network namespace: \`ip -all netns exec ip -${family} neigh\` Many that are FAILED or INCOMPLETE come of a scan, or of a route without a gateway that is too wide`,
      `make room: \`sysctl -w ${sysctl}3=${4 * max} ${sysctl}2=${2 * max}\``,
      "the kernel says so too: `journalctl -k --grep 'table overflow'`",
    ];
  },
});
