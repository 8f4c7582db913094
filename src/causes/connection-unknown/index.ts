// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { servedAtSource } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Flow } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { listEntries } from '../shared/conntrack.ts';
import { isLateAck } from '../shared/late-ack.ts';
import { ownerOf } from '../shared/processes.ts';
import { seconds } from '../shared/wording.ts';

export default defineCause({
  id: 'connection-unknown',
  title: 'a packet for a connection that this host does not have',
  severity: 'warning',
  explains:
    'A segment arrived for a connection that this host no longer has, or never had, and was reset.',
  seenAs: ['reset', 'fails-after-pause'],
  needs: ['reset_sent', 'dialled'],
  on: ['reset_sent'],
  supersedes: ['reset-by-peer', 'request-reset'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, dialled } = event.body;
    if (dialled || !packet || !(packet.flags & TCP_FLAG.ack)) return null;
    // Where the port is listened to, the kernel finds the listener for it, and no connection. It
    // says INVALID_SYN where the connection was there and the accept queue had no room for it.
    const stray =
      sock?.state === TCP_STATE.LISTEN && known.resetReason(event.body.reason) !== 'INVALID_SYN';
    if (sock && !stray) return null;
    if (isLateAck(event.body)) return null;
    const listener = stray ? sock : event.body.listener;
    return {
      evidence: {
        to: endpoint(packet.flow.daddr, packet.flow.dport),
        from: endpoint(packet.flow.saddr, packet.flow.sport),
        flags: flagsText(packet.flags),
        seq: packet.seq,
        ack: packet.ack_seq,
        payload_bytes: packet.payload_len,
        ttl: packet.ttl,
        closed_ms: event.body.closed?.since_ms ?? null,
        port_has_listener: listener !== null,
        listener_elsewhere:
          known.listenersOnPort(packet.flow.dport).length > 0 && listener === null,
      },
      basis: 'direct',
      subject: 'listener',
      where: endpoint(packet.flow.daddr, packet.flow.dport),
      flow: packet.flow,
      group: `${event.netns} ${serverEnd(packet.flow)}`,
      owner: ownerOf(listener?.owner) ?? ownerOf(event.body.closed?.owner),
    };
  },
  summary({ from, to, flags, closed_ms, port_has_listener }) {
    if (flags === 'SA')
      return `${from} answered a connect from ${to} that has no socket here: it was given up before, or was not made here`;
    if (closed_ms !== null)
      return `${from} sent [${flags}] to ${to}, where that connection was closed ${seconds(closed_ms)} before`;
    const state = port_has_listener
      ? 'which listens, but has no such connection'
      : 'which has no such connection';
    return `${from} sent [${flags}] to ${to}, ${state}`;
  },
  advice({ from, to, flags, closed_ms, port_has_listener }, flow) {
    const { saddr, daddr, dport } = flow;
    if (closed_ms !== null)
      return [
        `${from} did not hear how ${to} ended the connection: was a reset or a FIN lost on the way? Look for drops there, and at the hops between`,
      ];
    if (flags === 'SA') {
      return [
        `the client at ${to} closed its socket before ${from} answered: compare its connect timeout with the time to answer`,
        `or no program dialled at all: a port scan or a half-open health check with raw packets (nmap -sS) has no socket for the answer, and is harmless: does one run on ${daddr}?`,
        `or another host dialled through this one, which translates (masquerade, SNAT), and the answer was not seen as its: untracked (notrack), or tracked in another zone. Does it have such entries? \`${listEntries(saddr, `-r ${saddr} -q ${daddr}`)}\` Which rules do that: \`nft list ruleset | grep -nE 'notrack|ct zone'\``,
        `or another host dials with this address: a transparent proxy on the way (IP_TRANSPARENT) that does not catch its answers, one that has ${daddr} too, or one that forges it: then answers of many hosts come that nobody here dialled, a reflected flood, which is not ended here`,
      ];
    }
    return [
      ...(servedAtSource(flow) && !port_has_listener
        ? [
            `did another host dial ${from} through this one, which translates (masquerade, SNAT)? \`nft list ruleset | grep -nE 'masquerade|snat'\` or \`iptables-save -t nat\` Then its entry is gone: removed (\`conntrack -F\`, a restart of what writes the rules), forgotten while it was idle, or made at another gateway (failover). Who removes them, as it happens: \`conntrack -E -e DESTROY -p tcp -r ${saddr} --reply-port-dst ${dport}\``,
          ]
        : []),
      port_has_listener
        ? `${to}: was the service restarted, was ${daddr} moved here from another host (failover), does a balancer send this client here in the middle of a connection, or does its program let connections go without a word (silent-drop of HAProxy)?`
        : `${to}: which host should have this connection? A balancer or a moved address sends it here`,
      `after a restart these end by themselves; if they go on, look at each hop that translates: \`${listEntries(saddr, `-s ${saddr} -d ${daddr}`)}\` One whose own address has changed (DHCP, PPPoE, failover) sends open connections from the new one: is ${saddr} such? There: \`ip -ts monitor address\``,
    ];
  },
});

/** Many clients of one service are one finding. */
function serverEnd(flow: Flow): string {
  const { saddr, sport, daddr, dport } = flow;
  return servedAtSource(flow) ? `from ${saddr} ${sport}` : `to ${daddr} ${dport}`;
}
