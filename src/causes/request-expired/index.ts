// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { ownerOf } from '../shared/processes.ts';
import { seconds } from '../shared/wording.ts';

export default defineCause({
  id: 'request-expired',
  title: 'it came after its half-open connection was given up',
  severity: 'warning',
  explains:
    'A client’s third ACK or data came when the listener had given its half-open connection up, so it was reset: the client had believed to be connected.',
  seenAs: ['first-request-fails'],
  needs: ['reset_sent', 'stalled'],
  on: ['reset_sent'],
  supersedes: ['connection-unknown', 'syn-cookie-rejected', 'reset-by-peer', 'request-reset'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock } = event.body;
    const request = known.expiredRequest(event);
    if (!packet || !request || packet.flags & TCP_FLAG.syn) return null;
    if (sock && sock.state !== TCP_STATE.LISTEN) return null;
    const { saddr, sport, daddr, dport } = packet.flow;
    return {
      evidence: {
        listener: endpoint(daddr, dport),
        client: endpoint(saddr, sport),
        flags: flagsText(packet.flags),
        payload_bytes: packet.payload_len,
        since_end_ms: request.ended_ms,
        waited_ms: request.waited_ms,
        synacks_sent: request.synacks,
        acknowledged: request.acknowledged,
        defers_accept: request.defer_accept > 0,
        tcp_synack_retries: known.sysctl('net/ipv4/tcp_synack_retries', event.netns),
      },
      basis: 'direct',
      subject: 'listener',
      where: endpoint(daddr, dport),
      flow: packet.flow,
      group: `${event.netns} ${daddr} ${dport}`,
      owner: ownerOf(sock?.owner),
      began_ns: event.ktime_ns - (request.ended_ms + request.waited_ms) * 1e6,
    };
  },
  summary({ listener, client, flags, payload_bytes, since_end_ms, waited_ms, synacks_sent }) {
    const what = payload_bytes === 0 ? 'third ACK' : `${payload_bytes} bytes of data`;
    const synacks = synacks_sent === 1 ? 'a SYN-ACK' : `${synacks_sent} SYN-ACKs`;
    return `${what} [${flags}] of ${client} came ${seconds(since_end_ms)} after ${listener} had given its half-open connection up (${synacks}, ${seconds(waited_ms)}), and was reset`;
  },
  advice({ listener, client, acknowledged, defers_accept }, { saddr, sport, dport }) {
    const why = !acknowledged
      ? `${client} is connected as it sees it: its ACK was lost or held up until now. Where? \`tcpdump -ni any host ${saddr} and tcp port ${sport} and port ${dport}\` here and at the hops between`
      : defers_accept
        ? `${listener} takes connections only with data (TCP_DEFER_ACCEPT), and ${client} had none for that long: do without it where clients may be idle at first`
        : `its third ACK had come in time, and found no room: the accept queue was full. \`ss -ltnp 'sport = :${dport}'\``;
    return [
      why,
      'how long half-open connections are kept, in its namespace: `sysctl net.ipv4.tcp_synack_retries` (5: 63 s), less where the SYN queue is more than half full',
    ];
  },
});
