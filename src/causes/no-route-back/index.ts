// SPDX-License-Identifier: Apache-2.0

import { familyOf } from '../../tcp/address.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { defineCause } from '../define.ts';
import { refusedBy } from '../shared/denied.ts';
import { refusedWithoutReason } from '../shared/listen-drops.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceName, inWords } from '../shared/wording.ts';

export default defineCause({
  id: 'no-route-back',
  title: 'this host has no route to answer the client',
  severity: 'error',
  explains:
    'A SYN reached a listener, but this host has no route back to the client, so it answers nothing.',
  seenAs: ['connect-hangs'],
  needs: ['syn_fate'],
  on: ['syn_received'],
  leadsTo: SILENCE,
  supersedes: ['syn-dropped-one-of', 'syn-unproven-peer'],
  match(event, known) {
    if (event.kind !== 'syn_received') return null;
    const { packet, listener, mib } = event.body;
    const counted = mib.out_no_routes > 0 && mib.listen_drops > 0;
    const asked = known.asked(event);
    // Of IPv6 the kernel counts no route that refuses, and who arrived with others may have another’s count.
    const refuses = asked !== null && asked.route_errno > 0 && refusedWithoutReason(event) !== null;
    if (!counted && !refuses) return null;
    const { saddr, daddr, dport } = packet.flow;
    return {
      evidence: {
        listener: endpoint(daddr, dport),
        client: saddr,
        refused: packet.flags & TCP_FLAG.syn ? 'SYN' : 'third ACK',
        interface: packet.device || null,
        ...refusedBy(asked),
        netns: event.netns,
      },
      basis: mib.mixed || !counted ? 'inferred' : 'direct',
      subject: 'host',
      where: `route to ${saddr}`,
      flow: packet.flow,
      group: `${event.netns} ${saddr} ${daddr} ${dport}`,
      owner: ownerOf(listener?.owner),
    };
  },
  summary({ listener, client, refused, refused_by }) {
    const why = refused_by === undefined ? `no route to ${client}` : `${refused_by} refuses that`;
    return `${refused} from ${client} to ${listener} cannot be answered: ${why}`;
  },
  advice(
    { client, listener, interface: device, netns, refused_by, refusing_table },
    { saddr, daddr },
  ) {
    const name = deviceName(device);
    const ip = familyOf(saddr) === 6 ? 'ip -6' : 'ip';
    const run = (command: string) => `\`${inNetns(netns, `${ip} ${command}`)}\``;
    if (refused_by !== undefined)
      return [
        `${inWords(refused_by)} is in the way: ${run(refusing_table === undefined ? 'rule show' : `route show table ${refusing_table}`)} Who put it there? Daemons do while a prefix is withdrawn or a network is being moved; ${run(`route get ${saddr} from ${daddr}`)} says when it is gone`,
        ...(refusing_table === undefined
          ? []
          : [
              `a route that is longer goes before it: ${run(`route add ${saddr} via ROUTER${name ? ` dev ${name}` : ''}`)}`,
            ]),
      ];
    return [
      `what does the kernel find? ${run(`route get ${saddr} from ${daddr}`)} Look for unreachable, blackhole and prohibit too: ${run('route show table all')}`,
      `add the way back, over the router that ${client} is behind: ${run(`route add ${saddr} via ROUTER${name ? ` dev ${name}` : ''}`)}`,
      `with more than one table the answer may be looked up in another than you think: ${run('rule show')} A rule for answers of ${listener}: ${run(`rule add from ${daddr} lookup TABLE`)}`,
    ];
  },
});
