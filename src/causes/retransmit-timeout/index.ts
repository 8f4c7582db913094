// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { errnoName } from '../../tcp/errno.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Sock } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { listEntries } from '../shared/conntrack.ts';
import { addressGoneAdvice, sourceMissing, sourceMissingText } from '../shared/denied.ts';
import { pathError } from '../shared/neighbours.ts';
import { inNetns } from '../shared/netns.ts';
import { clampAdvice, firstIsFull, firstIsFullText, sizeDecides } from '../shared/path-mtu.ts';
import { idleBefore, ofSilence, waited } from '../shared/silence.ts';
import { endedInSilence, unreachableAdvice } from '../shared/unreachable.ts';
import { seconds, word } from '../shared/wording.ts';

/** No less is one segment of any path but loopback. */
const ANY_SEGMENT_BYTES = 65_536;

/** Probes are sent where nothing else is on its way: of a window with room for it none would be needed. */
function couldNotSend({ retransmits, unanswered_probes, snd_wnd, unacked_bytes }: Sock): boolean {
  return (
    retransmits === 0 &&
    unanswered_probes > 0 &&
    snd_wnd > 0 &&
    snd_wnd >= Math.min(unacked_bytes, ANY_SEGMENT_BYTES)
  );
}

/** What was sent before is still on its way. */
const CLOSED_HERE: ReadonlySet<number> = new Set([
  TCP_STATE.FIN_WAIT1,
  TCP_STATE.CLOSING,
  TCP_STATE.LAST_ACK,
]);

export default defineCause({
  id: 'retransmit-timeout',
  title: 'data was never acknowledged',
  severity: 'error',
  explains:
    'An open connection ended with ETIMEDOUT, or the ICMP error that it had heard of: what was sent was sent again and again, and never acknowledged.',
  seenAs: ['fails-after-pause', 'times-out'],
  needs: ['state'],
  on: ['state_change'],
  // While it waited.
  supersedes: ['retransmitting'],
  match(event, known) {
    if (event.kind !== 'state_change') return null;
    const { old_state, new_state, sock } = event.body;
    if (old_state === TCP_STATE.SYN_SENT || new_state !== TCP_STATE.CLOSE) return null;
    if (!endedInSilence(sock.err) || sock.user_timeout_ms > 0) return null;
    // Keepalive ends with everything acknowledged; a peer that keeps its window shut, with nothing resent.
    const unsent = couldNotSend(sock);
    if (sock.unacked_bytes === 0 || (sock.retransmits === 0 && !unsent)) return null;
    const waited_ms = waited(sock);
    const path_error = pathError(event, known);
    return {
      evidence: {
        local: local(sock.flow),
        peer: remote(sock.flow),
        unacked_bytes: sock.unacked_bytes,
        retransmits: sock.retransmits,
        waited_ms,
        idle_before_ms: idleBefore(sock, waited_ms),
        error: errnoName(sock.err),
        path_error,
        ...sourceMissing(event, known),
        ...(CLOSED_HERE.has(old_state) && { closed_before: true }),
        ...(path_error === null && firstIsFull(known.stall(event, 'timeouts'), sock.silent_ms)),
        tcp_retries2: known.sysctl('net/ipv4/tcp_retries2', event.netns),
        ...(unsent && {
          could_not_send: true,
          has_route: event.body.next_hop !== null,
          netns: event.netns,
        }),
      },
      ...ofSilence(event, sock, waited_ms),
    };
  },
  summary(
    {
      peer,
      local: at,
      unacked_bytes,
      retransmits,
      waited_ms,
      idle_before_ms,
      path_error: why,
      could_not_send,
      has_route,
      closed_before,
      source_missing,
      ...first
    },
    { saddr, daddr },
  ) {
    if (could_not_send) {
      const reason = source_missing
        ? `: ${saddr} is no address of it`
        : has_route
          ? ''
          : `: it has no route from ${saddr} to ${daddr} any more`;
      return `${at} could not send ${unacked_bytes} bytes to ${peer}, which has room: they did not leave this host${why === null || source_missing ? reason : `: ${why}`}`;
    }
    const time = waited_ms === null ? '' : ` in ${seconds(waited_ms)}`;
    const idle =
      idle_before_ms === null
        ? ''
        : `; the connection had been idle for ${seconds(idle_before_ms)}`;
    const times = retransmits === 1 ? 'once' : `${retransmits} times`;
    const closed = closed_before
      ? `; ${at} had closed its side: no process hears of it, unless one still reads`
      : '';
    const missing = source_missing ? sourceMissingText(saddr) : '';
    const path = why === null ? firstIsFullText(first) : `: ${why}`;
    return `${peer} did not acknowledge ${unacked_bytes} bytes${time}, sent again ${times}${idle}${closed}${missing}${path}`;
  },
  advice(
    {
      local: at,
      peer,
      tcp_retries2,
      idle_before_ms,
      path_error: why,
      could_not_send,
      has_route,
      closed_before,
      source_missing,
      full_segment_bytes,
      netns,
    },
    flow,
  ) {
    const { saddr, daddr } = flow;
    const gone = source_missing ? [addressGoneAdvice(saddr)] : [];
    if (could_not_send && source_missing) return gone;
    if (could_not_send && netns !== undefined)
      return [
        ...unreachableAdvice(why, flow),
        has_route
          ? `what drops here on the way out? Rules: \`${inNetns(netns, `nft list ruleset | grep -nE 'drop|reject'`)}\` The device’s queue: \`${inNetns(netns, 'tc -s qdisc show')}\``
          : `is ${saddr} still an address of this host (DHCP lease, VPN, failover), and is there a route? \`${inNetns(netns, `ip addr show to ${saddr}`)}\` and \`${inNetns(netns, `ip route get ${daddr} from ${saddr}`)}\``,
        `open connections keep the address that they began with: after ${saddr} has changed they have to be opened anew`,
      ];
    const now = tcp_retries2 === null ? '' : ` (now ${tcp_retries2})`;
    const forgotten =
      idle_before_ms === null
        ? []
        : [
            `nothing was sent for ${seconds(idle_before_ms)} before: a NAT, firewall or balancer between forgets connections that are idle: have ${at} or ${peer} send keepalive sooner (TCP_KEEPIDLE on the socket, net.ipv4.tcp_keepalive_time; on a Linux hop net.netfilter.nf_conntrack_tcp_timeout_established)`,
          ];
    return [
      ...gone,
      ...unreachableAdvice(why, flow),
      ...forgotten,
      ...(full_segment_bytes === undefined
        ? []
        : [sizeDecides(flow, full_segment_bytes, null), clampAdvice(daddr)]),
      `is ${daddr} still there? \`ping -c 3 ${daddr}\` On it: \`ss -tn dst ${word(bracketed(saddr))}\` and \`tcpwhy trace ${word(peer)}\``,
      ...(full_segment_bytes === undefined
        ? [
            `it is, and only large segments are lost: a tunnel on the way takes less: \`tracepath -n ${daddr}\``,
          ]
        : []),
      `it is, and does not know the connection: a firewall or NAT on the way forgot it and drops instead of resetting: \`${listEntries(saddr, `-s ${saddr} -d ${daddr}`)}\``,
      closed_before
        ? `what ${at} had sent before it closed is lost, and close() had not failed: who has to know waits for the other end (shutdown(SHUT_WR), and read until 0) before it closes. The kernel tries net.ipv4.tcp_orphan_retries times then`
        : `${at} knows only after net.ipv4.tcp_retries2${now}: TCP_USER_TIMEOUT on the socket makes it sooner`,
    ];
  },
});
