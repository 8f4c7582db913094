// SPDX-License-Identifier: Apache-2.0

import { familyOf } from '../../tcp/address.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { defineCause } from '../define.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceName } from '../shared/wording.ts';

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
  match(event) {
    if (event.kind !== 'syn_received') return null;
    const { packet, listener, mib } = event.body;
    if (mib.out_no_routes === 0 || mib.listen_drops === 0) return null;
    const { saddr, daddr, dport } = packet.flow;
    return {
      evidence: {
        listener: endpoint(daddr, dport),
        client: saddr,
        refused: packet.flags & TCP_FLAG.syn ? 'SYN' : 'third ACK',
        interface: packet.device || null,
        netns: event.netns,
      },
      basis: mib.mixed ? 'inferred' : 'direct',
      subject: 'host',
      where: `route to ${saddr}`,
      flow: packet.flow,
      group: `${event.netns} ${saddr} ${daddr} ${dport}`,
      owner: ownerOf(listener?.owner),
    };
  },
  summary({ listener, client, refused }) {
    return `${refused} from ${client} to ${listener} cannot be answered: no route to ${client}`;
  },
  advice({ client, listener, interface: device, netns }, { saddr, daddr }) {
    const name = deviceName(device);
    const ip = familyOf(saddr) === 6 ? 'ip -6' : 'ip';
    const run = (command: string) => `\`${inNetns(netns, `${ip} ${command}`)}\``;
    return [
      `what does the kernel find? ${run(`route get ${saddr} from ${daddr}`)} Look for unreachable, blackhole and prohibit too: ${run('route show table all')}`,
      `add the way back, over the router that ${client} is behind: ${run(`route add ${saddr} via ROUTER${name ? ` dev ${name}` : ''}`)}`,
      `with more than one table the answer may be looked up in another than you think: ${run('rule show')} A rule for answers of ${listener}: ${run(`rule add from ${daddr} lookup TABLE`)}`,
    ];
  },
});
