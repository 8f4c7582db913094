// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { ownerOf } from '../shared/processes.ts';

export default defineCause({
  id: 'syn-cookie-rejected',
  title: 'an acknowledgement without a valid SYN cookie',
  severity: 'warning',
  explains:
    'A listener that sends SYN cookies was sent a segment whose acknowledgement is none of them, or one that is too old, and reset it.',
  seenAs: ['first-request-fails'],
  needs: ['syn_fate', 'reset_sent'],
  on: ['reset_sent'],
  supersedes: ['connection-unknown', 'reset-by-peer', 'request-reset'],
  match(event) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, syncookies_failed } = event.body;
    if (!packet || sock?.state !== TCP_STATE.LISTEN || syncookies_failed === 0) return null;
    if (packet.flags & TCP_FLAG.syn) return null;
    const { saddr, sport, daddr, dport } = packet.flow;
    return {
      evidence: {
        listener: endpoint(daddr, dport),
        from: endpoint(saddr, sport),
        flags: flagsText(packet.flags),
        seq: packet.seq,
        ack: packet.ack_seq,
        payload_bytes: packet.payload_len,
        ttl: packet.ttl,
        syn_queue: sock.syn_queue,
        syn_queue_max: sock.accept_queue_max,
      },
      basis: 'direct',
      subject: 'listener',
      where: endpoint(daddr, dport),
      flow: packet.flow,
      group: `${event.netns} ${daddr} ${dport}`,
      owner: ownerOf(sock.owner),
    };
  },
  summary({ listener, from, flags, ack }) {
    return `${listener} reset [${flags}] of ${from}: ack ${ack} is no SYN cookie of its own, or one that is too old`;
  },
  advice({ listener, ttl, syn_queue, syn_queue_max }, { saddr, dport }) {
    return [
      `does a balancer send SYNs and what follows to different hosts behind ${listener}? Each has cookies of its own. Compare TTL ${ttl} and the ends: \`tcpdump -ni any -vv host ${saddr} and port ${dport}\``,
      `real clients or a flood? A flood of ACKs moves only SyncookiesFailed: \`nstat -az 'TcpExtSyncookies*'\``,
      `${listener} needs cookies where its SYN queue is full (${syn_queue} half-open now, at most ${syn_queue_max}): with a larger backlog in listen(), and net.core.somaxconn, real clients do without`,
    ];
  },
});
