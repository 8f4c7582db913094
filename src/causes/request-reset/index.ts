// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { listEntries } from '../shared/conntrack.ts';
import { ownerOf } from '../shared/processes.ts';
import { otherSender, resetAsCaptured } from '../shared/reset-sender.ts';
import { word } from '../shared/wording.ts';

export default defineCause({
  id: 'request-reset',
  title: 'the client reset our SYN-ACK',
  severity: 'warning',
  explains:
    'A client answers our SYN-ACK with a reset: it does not know the connection, or knows it under another address.',
  seenAs: ['connect-hangs'],
  packets: true,
  needs: ['drop'],
  on: ['drop', 'syn_received'],
  // What the client may send after its reset.
  leadsTo: ['connection-unknown'],
  match(event, known) {
    if (event.kind !== 'drop' && event.kind !== 'syn_received') return null;
    const { packet, mib } = event.body;
    if (!(packet.flags & TCP_FLAG.rst)) return null;
    const sock = event.kind === 'drop' ? event.body.sock : event.body.listener;
    const counted = mib !== null && mib.embryonic_rsts > 0;
    // Freed by tcp_check_req without a word; a reset to the listener itself has the reason TCP_RESET.
    const unnamed =
      event.kind === 'drop' &&
      mib === null &&
      sock?.state === TCP_STATE.LISTEN &&
      known.dropReason(event.body.reason) === 'NOT_SPECIFIED';
    if (!counted && !unnamed) return null;
    const { saddr, daddr, dport } = packet.flow;
    // What answers a segment in place of a socket has neither.
    const by_socket = packet.window > 0 || packet.has_timestamps === 1;
    const captured = known.captured(packet.flow, event)?.reset;
    const sender = {
      reset_ttl: packet.ttl,
      ...(captured && { handshake_ttl: captured.ttl_before || null }),
      ...resetAsCaptured(captured, captured?.ttl_before ?? null),
    };
    const by_another = otherSender(sender);
    return {
      evidence: {
        listener: endpoint(daddr, dport),
        client: saddr,
        reset_window: packet.window,
        reset_timestamps: packet.has_timestamps === 1,
        ...sender,
        ...(by_socket && { by_socket }),
      },
      basis: counted && !mib.mixed ? 'direct' : 'inferred',
      subject: 'listener',
      where: endpoint(daddr, dport),
      flow: packet.flow,
      group: `${event.netns} ${daddr} ${dport} ${saddr}${by_another ? ' by another' : by_socket ? ' by a socket' : ''}`,
      owner: ownerOf(sock?.owner),
      // So do the health checks of balancers.
      ...(by_socket && !by_another && { severity: 'info' as const }),
    };
  },
  summary({ listener, client, by_socket, ...sender }) {
    const by_another = otherSender(sender);
    if (by_another)
      return `${client} reset the SYN-ACK of ${listener}: ${by_another}: a box on the way sent it, or the path has changed`;
    if (by_socket)
      return `${client} got the SYN-ACK of ${listener} and reset the connection at once: its program closed it before anything was sent`;
    return `${client} reset the SYN-ACK of ${listener}: the connection ended half-open`;
  },
  advice({ listener, client, by_socket, ...sender }) {
    if (otherSender(sender))
      return [
        `${client} may know nothing of it: a firewall or balancer between resets in its name. How far is the client? \`tracepath -n ${client}\``,
        `did ${client} send it after all? On it: \`tcpwhy trace ${word(listener)}\` or capture there too, and explain both`,
      ];
    if (by_socket)
      return [
        `the health check of a balancer ends like this before its third ACK has left (HAProxy’s check of a TCP server), and is harmless: what runs on ${client}?`,
        `or a client that gave up (its own connect timeout) just as the answer came: did ${listener} answer late? On ${client}: \`tcpwhy trace ${word(listener)}\``,
      ];
    return [
      `did ${client} dial another address than ${listener}? Then it does not know our answer: look for a translation on the way: \`${listEntries(client, `-s ${client}`)}\``,
      `or did its program give up before the answer came (its own connect timeout)? Then its socket is gone: was ${listener} slow to answer, or the way? On ${client}: \`tcpwhy trace ${word(listener)}\``,
      `a port scanner, a health check that closes at once, or a rule there that rejects the answer does this too: what runs on ${client}? \`nft list ruleset | grep -n reject\``,
    ];
  },
});
