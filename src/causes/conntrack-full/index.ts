// SPDX-License-Identifier: Apache-2.0

import { parseAddress } from '../../tcp/address.ts';
import { TRACKED } from '../../tcp/conntrack.ts';
import { flagsText } from '../../tcp/flags.ts';
import type { TableUser } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { ends, isBesideRules, listEntries, whereabouts } from '../shared/conntrack.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';
import { inWords } from '../shared/wording.ts';

/** Entries of other CPUs end between the drop and the look at their number. */
const NEARLY = 63 / 64;

/** Who has most entries, as plain data. A recording that others wrote may have anything for an address. */
const sourcesOf = (users: readonly TableUser[] = []) =>
  users.flatMap(({ end, entries }) => (parseAddress(end) ? { end, entries } : []));

const servicesOf = (users: readonly TableUser[] = []) =>
  users.map(({ end, entries }) => ({ end: inWords(end), entries }));

export default defineCause({
  id: 'conntrack-full',
  title: 'the connection table is full',
  severity: 'error',
  explains:
    'The table of connection tracking (nf_conntrack) is full, so this host drops what begins a connection.',
  seenAs: ['connect-hangs'],
  needs: ['drop', 'tracked'],
  on: ['drop'],
  supersedes: ['netfilter-drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop' || !isBesideRules(event.body, known)) return null;
    const { packet, conntrack } = event.body;
    if (conntrack?.info !== TRACKED.NO_ENTRY || conntrack.dropped === 0) return null;
    const { entries, entries_max, looked_before, forgets_after_s } = conntrack;
    if (entries < entries_max * NEARLY) return null;
    const users = known.tableUsers(event.netns);
    return {
      evidence: {
        entries: entries_max === 0 ? null : entries,
        entries_max: entries_max || null,
        ...ends(packet.flow),
        flags: flagsText(packet.flags),
        ...whereabouts(event.body, event.netns, known),
        idle_timeout_s: forgets_after_s || null,
        entries_counted: users?.entries ?? null,
        sources: sourcesOf(users?.sources),
        services: servicesOf(users?.services),
        netns: event.netns,
      },
      basis: looked_before ? 'direct' : 'inferred',
      subject: 'host',
      where: 'nf_conntrack',
      flow: packet.flow,
      group: `${event.netns}`,
      owner: null,
    };
  },
  summary({ entries, entries_max, entries_counted, sources, services, from, to, flags }) {
    const many = entries === null ? '' : `: ${entries} of ${entries_max} entries`;
    const [source, service] = [sources[0], services[0]];
    const who =
      source === undefined || service === undefined
        ? ''
        : `, ${source.entries} of ${entries_counted} begun by ${source.end} and ${service.entries} to ${service.end}`;
    return `connection table full${many}${who}; [${flags}] ${from} → ${to} had no room in it`;
  },
  advice({ entries_max, idle_timeout_s, sources, netns }) {
    const room =
      entries_max === null
        ? '`sysctl net.netfilter.nf_conntrack_max`'
        : `\`sysctl -w net.netfilter.nf_conntrack_max=${2 * entries_max}\``;
    const now = idle_timeout_s === null ? '' : ` (${idle_timeout_s} s now)`;
    const [first] = sources;
    return [
      first === undefined
        ? `who fills it, a flood or clients that never close? Count by the first src= of each line: \`${inNetns(netns, 'conntrack -L')}\``
        : `a flood, or clients that never close? What ${first.end} has: \`${inNetns(netns, listEntries(first.end, `-s ${first.end}`))}\` Most entries, as it was first full: ${sources.map(({ end, entries }) => `${end} ${entries}`).join(', ')}`,
      `make room, for the whole machine: ${room}`,
      `let idle connections lose their entry sooner${now}; translated ones break then: \`${inNetns(netns, 'sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=3600')}\``,
      `connections that no rule has to know of need no entry: notrack in a chain at priority raw. It is the kernel that drops, no rule; its own word: \`journalctl -k --grep 'table full'\``,
    ];
  },
});
