// SPDX-License-Identifier: Apache-2.0

import type { Knowledge, Names } from '../../known/knowledge.ts';
import { familyOf, isLoopback } from '../../tcp/address.ts';
import { beforeRedirect, ENTRY, NFT_FREES, TRACKED } from '../../tcp/conntrack.ts';
import { endpoint, local } from '../../tcp/endpoint.ts';
import { ERRNO } from '../../tcp/errno.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { servedAtSource } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import type { ConnectAsked, Drop, Flow, ResetReceived, ResetSent } from '../../wire/types.gen.ts';
import { inNetns } from './netns.ts';
import { word } from './wording.ts';

/** Netfilter dropped it: a rule, or what works beside the rules. */
export function isByNetfilter({ reason, location }: Drop, known: Names): boolean {
  // Without reasons (before 5.17) the function that frees what a rule dropped is proof enough.
  return known.hasDropReasons()
    ? known.dropReason(reason) === 'NETFILTER_DROP'
    : known.symbol(location)?.name === 'nf_hook_slow';
}

/** The same, and not a rule of nftables: those are told apart since Linux 6.8. */
export function isBesideRules(drop: Drop, known: Knowledge): boolean {
  return isByNetfilter(drop, known) && known.symbol(drop.location)?.name !== NFT_FREES;
}

/** Of an answer to a SYN: the connect as it was dialled, where this host sent it elsewhere; else null. */
export function redirectedFrom({ packet, conntrack, dialled }: ResetSent): Flow | null {
  if (!packet || packet.flags & TCP_FLAG.ack) return null;
  return beforeRedirect(packet, conntrack) ?? dialled?.flow ?? null;
}

/** Where a packet goes, and what had been dialled, if this host has translated that. */
export function toText({ to, translated_from }: { to: string; translated_from?: string }): string {
  return translated_from === undefined ? to : `${to}, dialled as ${translated_from},`;
}

/** Was sent elsewhere, and then there was no way for it: its source is an address of loopback still. No rule drops it. */
export function leavesLoopback(drop: Drop, known: Names): boolean {
  const { packet, conntrack, leaves_ifindex } = drop;
  return (
    packet.ifindex === 0 &&
    leaves_ifindex === 0 &&
    conntrack !== null &&
    (conntrack.status & ENTRY.DST_NAT) !== 0 &&
    isLoopback(packet.flow.saddr) &&
    !isLoopback(packet.flow.daddr) &&
    isByNetfilter(drop, known)
  );
}

/**
 * Was sent elsewhere as it left, and what routing has against that: connection tracking asks for a new route, and
 * gives the packet up where there is none. No rule drops it. Null: it was not so, or that is not known.
 */
export function unroutable(event: Event, known: Knowledge): ConnectAsked | null {
  if (event.kind !== 'drop') return null;
  const { packet, conntrack, leaves_ifindex, rejected } = event.body;
  if (packet.ifindex > 0 || leaves_ifindex > 0 || rejected > 0) return null;
  if (!isBesideRules(event.body, known) || leavesLoopback(event.body, known)) return null;
  if (!beforeRedirect(packet, conntrack)) return null;
  const asked = known.asked(event);
  if (!asked || asked.route_errno === 0) return null;
  // Routing refuses an address with that too.
  return asked.route_errno === ERRNO.EINVAL && asked.route_type === '' ? null : asked;
}

/** enum tcp_conntrack. */
const SYN_SENT = 1;

/**
 * SYNPROXY holds it back until the server has answered its SYN. To connection tracking any other
 * acknowledgement before a SYN-ACK is INVALID, and has no entry.
 */
export function isHeldBySynproxy(drop: Drop, known: Knowledge): boolean {
  const { packet, conntrack } = drop;
  return (
    (packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack | TCP_FLAG.rst)) === TCP_FLAG.ack &&
    conntrack !== null &&
    conntrack.sent !== null &&
    conntrack.tcp_state === SYN_SENT &&
    conntrack.info < TRACKED.REPLY &&
    isByNetfilter(drop, known)
  );
}

/** Where a dropped packet was: where it had come in, and where it should have left. */
export function whereabouts({ packet, leaves_ifindex }: Drop, netns: number, known: Knowledge) {
  const named = (ifindex: number) =>
    ifindex === 0 ? null : (known.device(netns, ifindex) ?? `if${ifindex}`);
  const at = packet.device || null;
  const leaves = leaves_ifindex > 0;
  return {
    arrived_on: leaves ? named(packet.ifindex) : packet.ifindex > 0 ? at : null,
    leaves_by: leaves ? at : null,
  };
}

/** `that arrived on c0`, `on its way out by s0`. */
export function whereText({ arrived_on, leaves_by }: ReturnType<typeof whereabouts>): string {
  if (leaves_by === null)
    return arrived_on === null ? 'on its way out' : `that arrived on ${arrived_on}`;
  const from = arrived_on === null ? '' : `, arrived on ${arrived_on}`;
  return `on its way out by ${leaves_by}${from}`;
}

/** Lists entries of the family of `address`: without saying which, conntrack lists those of IPv4. */
export function listEntries(address: string, selector: string): string {
  return `conntrack -L ${familyOf(address) === 6 ? '-f ipv6 ' : ''}-p tcp ${selector}`;
}

/** How to find the rule that sends connections to an end elsewhere. */
export function redirectAdvice(netns: number, dialled: string): string {
  return `the rule that sends ${dialled} there: \`${inNetns(netns, 'nft -a list ruleset')} | grep -nE 'redirect|dnat'\` or \`iptables-save -c | grep -E 'REDIRECT|DNAT'\``;
}

/** Of a connect that this host sent elsewhere: evidence of where to; `answer`: an answer as it comes. */
export function redirected(answer: Flow, netns: number) {
  return {
    redirected_to: local(answer),
    source_stays: isLoopback(answer.daddr) && !isLoopback(answer.saddr),
    netns,
  };
}

/** Who sent a reset that a connect or connection of this host believed, where that is not whom it dialled; else null. */
export function resetFromElsewhere({ sock, packet, conntrack }: ResetReceived): string | null {
  const { saddr, sport, daddr, dport } = sock.flow;
  if (sock.state !== TCP_STATE.SYN_SENT && servedAtSource(sock.flow)) return null;
  const sent = conntrack?.sent;
  const isOurs = sent?.saddr === saddr && sent.sport === sport;
  const answer =
    conntrack?.answer && isOurs && conntrack.status & ENTRY.DST_NAT
      ? conntrack.answer
      : // It is as it came in, before this host translated it back, or after.
        (packet?.flow ?? null);
  if (!answer || (answer.saddr === daddr && answer.sport === dport)) return null;
  return endpoint(answer.saddr, answer.sport);
}

type Redirected = Partial<ReturnType<typeof redirected>>;

/** What was dialled, with where it was sent in place of that. */
export function redirectText(
  dialled: string,
  from: string,
  { redirected_to, source_stays }: Redirected,
) {
  return {
    where:
      redirected_to === undefined
        ? dialled
        : `${dialled}, translated by this host to ${redirected_to},`,
    source: source_stays ? `; its source was not translated and stays ${from}` : '',
  };
}

/** What to look at where nobody answered it; null: it was sent where it was dialled. */
export function redirectedAdvice(
  dialled: string,
  from: string,
  daddr: string,
  { redirected_to, source_stays, netns }: Redirected,
): string[] | null {
  if (redirected_to === undefined || netns === undefined) return null;
  const target = addressOf(redirected_to);
  const look = source_stays
    ? `no host answers ${from}, an address of loopback: translate the source too: \`${inNetns(netns, masqueradeLoopback(addressOf(from)))}\` or dial an address of this host`
    : `do the SYNs arrive at what they were translated to? On ${target}: \`tcpwhy trace ${word(redirected_to)}\` Is that the right one? Here: \`${inNetns(netns, listEntries(daddr, `-d ${daddr}`))}\``;
  return [look, redirectAdvice(netns, dialled)];
}

/** Of a connect from one of its addresses. */
export const masqueradeLoopback = (saddr: string) =>
  familyOf(saddr) === 6
    ? 'nft add rule ip6 nat postrouting ip6 saddr ::1 masquerade'
    : 'nft add rule ip nat postrouting ip saddr 127.0.0.0/8 masquerade';

/** Of an end as it is written. */
export const addressOf = (end: string) => end.replace(/:\d+$/, '').replace(/[[\]]/g, '');

/** The port of a redirected end. */
export const ends = ({ saddr, sport, daddr, dport }: Flow) => ({
  from: endpoint(saddr, sport),
  to: endpoint(daddr, dport),
});
