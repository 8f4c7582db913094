// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { servedAtSource, service } from '../../tcp/service.ts';
import { defineCause } from '../define.ts';
import { whyForgotten } from '../shared/closed.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { seconds } from '../shared/wording.ts';

export default defineCause({
  id: 'timewait-overflow',
  title: 'the TIME_WAIT table is full: a closed connection was forgotten at once',
  severity: 'warning',
  explains:
    'This host has as many connections in TIME_WAIT as it may: what it closes is forgotten at once, and what their peers still send is reset.',
  seenAs: ['reset'],
  needs: ['reset_sent', 'state'],
  on: ['reset_sent'],
  supersedes: ['reset-by-peer', 'connection-unknown'],
  match(event) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, closed, limits } = event.body;
    if (!packet || !closed || !limits || packet.flags & TCP_FLAG.syn) return null;
    if (whyForgotten(event.body) !== 'TIME_WAIT table full') return null;
    const { saddr, daddr, sport, dport } = packet.flow;
    const data = packet.payload_len > 0;
    return {
      evidence: {
        local: endpoint(daddr, dport),
        peer: endpoint(saddr, sport),
        flags: flagsText(packet.flags),
        payload_bytes: packet.payload_len,
        closed_ms: closed.since_ms,
        // It was full when this one was closed.
        timewait: Math.max(limits.timewait, limits.timewait_max),
        tcp_max_tw_buckets: limits.timewait_max,
        port_has_listener: sock !== null || event.body.listener !== null,
        netns: event.netns,
      },
      basis: 'inferred',
      subject: 'flow',
      where: service(packet.flow),
      flow: packet.flow,
      group: servedAtSource(packet.flow)
        ? `${event.netns} from ${saddr} ${sport}`
        : `${event.netns} at ${daddr} ${dport}`,
      owner: ownerOf(closed.owner),
      // Its peer had closed too, or does so now: nobody's data is lost.
      ...(!data && { severity: 'info' as const }),
    };
  },
  summary({ local: at, peer, flags, payload_bytes, closed_ms, timewait, tcp_max_tw_buckets }) {
    const what = payload_bytes > 0 ? `${payload_bytes} bytes` : `[${flags}]`;
    return `${peer} sent ${what} to ${at}, closed ${seconds(closed_ms)} before and forgotten at once: the TIME_WAIT table is full (${timewait} of ${tcp_max_tw_buckets})`;
  },
  advice({ local: at, peer, netns, tcp_max_tw_buckets }) {
    const set = `sysctl -w net.ipv4.tcp_max_tw_buckets=${Math.max(2 * tcp_max_tw_buckets, 65_536)}`;
    return [
      `net.ipv4.tcp_max_tw_buckets is ${tcp_max_tw_buckets}, which is too few for what is closed here. Each costs some 300 bytes: \`${inNetns(netns, set)}\``,
      `how often? \`${inNetns(netns, 'nstat -az TcpExtTCPTimeWaitOverflow')}\``,
      `${at} closed first and ${peer} did not know yet: make the side that sends be the one that closes`,
    ];
  },
});
