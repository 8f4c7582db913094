// SPDX-License-Identifier: Apache-2.0

import type { DroppedBy } from '../../known/drop-rules.ts';
import type { Knowledge } from '../../known/knowledge.ts';
import { ENTRY, isTakenUp, TRACKED } from '../../tcp/conntrack.ts';
import { endpoint, local, remote } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { reversed, servedAtSource, service } from '../../tcp/service.ts';
import { isConnection, TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import type {
  Conntrack,
  CrossedReply,
  Drop,
  Flow,
  Packet,
  ResetSent,
} from '../../wire/types.gen.ts';
import { defineCause, type Match } from '../define.ts';
import { isByNetfilter, listEntries, whereabouts } from '../shared/conntrack.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import {
  ANSWERS,
  changedText,
  isNoneNow,
  placeText,
  type RuleEvidence,
  ruleEvidence,
  ruleGroup,
  ruleWords,
} from '../shared/rules.ts';
import { SILENCE } from '../shared/silence.ts';
import { inWords, word } from '../shared/wording.ts';

type Kind = 'dropped' | 'forgotten' | 'not translated';

type Known = Partial<RuleEvidence> & {
  kind: Kind;
  from: string;
  to: string;
  flags: string;
  connection: string | null;
  arrived_on: string | null;
  leaves_by: string | null;
  payload_bytes: number;
  seq: number;
  expected_seq: number | null;
  ttl: number;
  /** For so long an entry is kept where nothing comes: of an open connection, and of others. */
  idle_timeout_s: number | null;
  half_closed_timeout_s: number | null;
  unacknowledged_timeout_s: number | null;
  early_drops: number | null;
  be_liberal: boolean | null;
  /** The time that this host is up, which nobody was idle for longer than. */
  up_s: number | null;
  /** Only of what was not translated: this end had sent its last. */
  half_closed?: true;
  /** Rules of this host that keep connection tracking from the handshake, for sure or perhaps. */
  untracked_by?: string[];
  untracked_surely?: boolean;
  /** Only of what was dropped: it began a new entry in the middle of its connection. */
  is_new?: true;
  /** Only of what was dropped: with what the rule answered. */
  answer?: string;
  netns: number;
};

const NOTHING = {
  connection: null,
  arrived_on: null,
  leaves_by: null,
  expected_seq: null,
  idle_timeout_s: null,
  half_closed_timeout_s: null,
  unacknowledged_timeout_s: null,
  early_drops: null,
  be_liberal: null,
  up_s: null,
};

export default defineCause<Known>({
  id: 'conntrack-invalid',
  title: 'connection tracking does not take it for part of a connection',
  severity: 'warning',
  explains:
    'A segment of an open connection was INVALID or NEW to connection tracking: a rule dropped it for that, or it was not translated.',
  seenAs: ['connect-hangs', 'reset', 'fails-after-pause', 'stands-still'],
  needs: ['drop', 'reset_sent', 'tracked'],
  on: ['drop', 'crossed_reply', 'reset_sent'],
  supersedes: [
    'netfilter-drop',
    'netfilter-reject',
    'crossed-reply',
    'connection-unknown',
    'reset-by-peer',
  ],
  leadsTo: SILENCE,
  match(event, known) {
    switch (event.kind) {
      case 'drop':
        return dropped(event, event.body, known);
      case 'crossed_reply':
        return notTranslated(event, event.body);
      case 'reset_sent':
        return forgotten(event, event.body, known);
      default:
        return null;
    }
  },
  summary(at) {
    const { kind, from, to, flags, connection } = at;
    switch (kind) {
      case 'dropped':
        if (at.is_new)
          return `[${flags}] ${from} → ${to} is of no connection that connection tracking here knows, so NEW to it, and ${ruleWords(ruleOf(at))} ${droppedText(at)}: ${endedText(at)}`;
        return `[${flags}] ${from} → ${to} is INVALID to connection tracking, and ${ruleWords(ruleOf(at))} ${droppedText(at)}${at.rules_read ? '' : ', for that or for anything else (the rules were not read)'}: ${reasonOf(at)}`;
      case 'not translated': {
        const what = `[${flags}] of the connection with ${connection} came from ${from}, not translated back`;
        if (at.seq !== at.expected_seq)
          return `${what}: INVALID to the connection tracking of a hop`;
        return at.half_closed
          ? `${what}: a hop has forgotten the connection, of which ${to} had closed its half`
          : `${what}: a hop has forgotten the connection, or takes this for INVALID`;
      }
      case 'forgotten':
        return `[${flags}] ${from} → ${to} is of no connection that connection tracking here knows: ${endedText(at)}; so not translated but reset`;
    }
  },
  advice(at, flow) {
    const { saddr, daddr } = flow;
    const { kind, from, to, flags, connection, netns } = at;
    const setting = 'sysctl -w net.netfilter.nf_conntrack_log_invalid=6';
    const log = `\`${kind === 'dropped' ? inNetns(netns, setting) : setting}\` then \`journalctl -k\` Set it back to 0 afterwards.`;
    switch (kind) {
      case 'not translated':
        return [
          ...(at.seq === at.expected_seq ? [forgottenAdvice(at.half_closed ? to : null)] : []),
          `which hop translates ${connection}? There the kernel log says what is wrong with the segments of ${from}: ${log}`,
          'out of the window is INVALID to that hop. Taken for the connection’s own: `sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1`',
          'or have it drop what it does not translate, so that no end resets the other: `nft add rule inet filter forward ct state invalid drop`',
          `${to} resets ${from} because of this; there it looks like a reset by the peer`,
        ];
      case 'forgotten':
        return [
          `does this host translate for ${to}? Then its entry was forgotten; else no host here has the connection, and a moved address or a balancer sends it here: \`${inNetns(netns, 'nft -a list ruleset')} | grep -nE 'dnat|snat|masquerade'\``,
          ...endedAdvice(at),
          `with 1 a connection is taken up again in the middle: \`${inNetns(netns, 'sysctl net.netfilter.nf_conntrack_tcp_loose')}\``,
        ];
      case 'dropped':
        if (at.untracked_surely) return [...untrackedLines(at), ...ruleLines(at, flow)];
        if (at.is_new) return [...endedAdvice(at), ...ruleLines(at, flow)];
        return [
          ...untrackedLines(at),
          `does it see both directions? The ways back and forth: \`ip route get ${daddr}\` and \`ip route get ${saddr}\` What it knows of them: \`${inNetns(netns, listEntries(saddr, `-s ${saddr}`))}\``,
          ...(flags.includes('S') ? [] : endedAdvice(at)),
          `the kernel log says why it is INVALID: ${log}${at.be_liberal ? '' : ` Where it is out of the window: \`${inNetns(netns, 'sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1')}\``}`,
          ...ruleLines(at, flow),
        ];
    }
  },
});

/** What is in order is INVALID only where there is no entry any more. */
function forgottenAdvice(half_closed: string | null): string {
  const when =
    half_closed === null
      ? 'after it was idle for net.netfilter.nf_conntrack_tcp_timeout_established'
      : `after ${half_closed} had closed its half and nothing came for net.netfilter.nf_conntrack_tcp_timeout_fin_wait (120 s) or _close_wait (60 s): let the answer begin sooner, or close only when it is there`;
  return `it is what comes next, so the hop most likely has no entry for it any more: ${when}, or it was removed (a flush, or a restart of what writes the rules). On the hop: \`sysctl -a -r nf_conntrack_tcp_timeout\``;
}

const droppedText = ({ answer }: Known) =>
  answer === undefined ? 'dropped it' : `rejected it with ${answer}`;

/** What is usual where such a segment is INVALID. */
function reasonOf(at: Known): string {
  const { flags, untracked_by = [], untracked_surely } = at;
  if (untracked_by.length > 0)
    return `it was not shown the handshake: ${untracked_by.length === 1 ? '' : 'one of '}${untracked_by.map(inWords).join(', ')} ${untracked_surely ? 'keeps' : 'may keep'} it from that`;
  const last = at.be_liberal
    ? 'or its entry was removed'
    : 'its entry was removed, or it is out of its window';
  if (flags.includes('S'))
    return 'it did not see the SYN that this answers, which took another way or was tracked apart (in another zone)';
  if (flags.includes('R')) return 'it has no such connection, or the reset is out of its window';
  return `it did not see the SYN-ACK, has forgotten the connection, ${last}`;
}

/** No entry of an open connection can have ended because nothing came. */
const isYounger = ({ idle_timeout_s, up_s }: Known): boolean =>
  idle_timeout_s !== null && up_s !== null && up_s < idle_timeout_s;

function untrackedLines({ untracked_by = [], netns }: Known): string[] {
  if (untracked_by.length === 0) return [];
  return [
    `notrack is for both directions of a connection, or none, and what is not tracked has to be let pass before what is INVALID is dropped (ct state untracked accept): \`${inNetns(netns, 'nft -a list ruleset')} | grep -nE 'notrack|ct state'\` or \`iptables-save -t raw\``,
  ];
}

/** How an entry may have ended: those ways that take less than it took. */
function endedText(at: Known): string {
  const { idle_timeout_s, half_closed_timeout_s, unacknowledged_timeout_s } = at;
  const isPossible = (timeout_s: number | null): timeout_s is number =>
    timeout_s !== null && (at.up_s === null || at.up_s >= timeout_s);
  const ways = [
    ...(isPossible(idle_timeout_s) ? [`idle for ${idle_timeout_s} s`] : []),
    ...(isPossible(half_closed_timeout_s)
      ? [`half closed and idle for ${half_closed_timeout_s} s`]
      : []),
    // It shortens the time of an open connection, and no other.
    ...(isPossible(unacknowledged_timeout_s) && unacknowledged_timeout_s < (idle_timeout_s ?? 0)
      ? [`silent for ${unacknowledged_timeout_s} s with data unacknowledged`]
      : []),
    ...(idle_timeout_s === null ? ['idle for too long'] : []),
    ...(half_closed_timeout_s === null ? ['half closed and idle'] : []),
  ];
  const removed = 'its entry was removed (a flush, or a restart of what writes the rules)';
  const never = 'or there never was one';
  if (ways.length === 0) return `${removed}, ${never}`;
  return isYounger(at)
    ? `${removed}, it was forgotten (${ways.join(', or ')}), ${never}`
    : `forgotten (${ways.join(', or ')}, is enough), ${removed}, ${never}`;
}

function endedAdvice(at: Known): string[] {
  const { netns, idle_timeout_s, half_closed_timeout_s, early_drops, up_s } = at;
  const least = Math.min(...[idle_timeout_s, half_closed_timeout_s].flatMap((s) => s ?? []));
  return [
    `expired or removed? Each end knows for how long it had heard nothing: \`tcpwhy trace ${word(at.to)}\` there. Less than all of its timeouts${idle_timeout_s === null ? '' : ` (${idle_timeout_s} s where both ends are open${isYounger(at) ? `, for which this host is not even up: ${up_s} s` : ''})`} says that it was removed: \`${inNetns(netns, 'sysctl -a -r nf_conntrack_tcp_timeout')}\``,
    `who removes entries, as it happens: \`${inNetns(netns, 'conntrack -E -e DESTROY -p tcp -o timestamp,id')}\` With \`conntrack -F\` all go at once; programs that do that: \`journalctl -u firewalld -u docker -u nftables -u ufw\``,
    ...(early_drops === null || early_drops === 0
      ? []
      : [
          `${early_drops} entries had to make room for new ones, those of half-closed connections first: \`${inNetns(netns, 'conntrack -C')}\` of \`sysctl net.netfilter.nf_conntrack_max\``,
        ]),
    `where it was idle, send something in time: keepalive at the ends${Number.isFinite(least) ? ` below ${least} s` : ''}: \`sysctl net.ipv4.tcp_keepalive_time\` Or keep entries longer: \`${inNetns(netns, 'sysctl net.netfilter.nf_conntrack_tcp_timeout_established net.netfilter.nf_conntrack_tcp_timeout_close_wait')}\``,
  ];
}

const ruleOf = (at: Known): RuleEvidence => ({ ...ruleEvidence(null), ...at });

/** The rule that dropped what is INVALID. */
function ruleLines(at: Known, flow: Flow): string[] {
  const rule = ruleOf(at);
  const { netns } = at;
  const { family, table, chain, handle } = rule;
  const list = inNetns(netns, 'nft -a list ruleset');
  if (isNoneNow(rule))
    return [
      `none of the rules that are there now drops it, so that it passes now and nothing translates it: ${changedText(rule, netns, flow)}`,
    ];
  const isWord = [table, chain].every((name) => name !== null && /^\w[\w./-]*$/.test(name));
  if (isWord)
    return [
      `the rule${handle === null ? ', a policy' : ` (handle ${handle})`}: \`${inNetns(netns, `nft -a list chain ${family} ${table} ${chain}`)}\``,
    ];
  return [`the rule: \`${list} | grep -nE 'ct state|ctstate|policy drop'\``];
}

/** When connection tracking ends entries there. */
function limitsOf(event: Event, conntrack: Conntrack, known: Knowledge) {
  const limits = known.trackingLimits(event.netns);
  return {
    idle_timeout_s: conntrack.forgets_after_s || null,
    half_closed_timeout_s: limits && (Math.min(limits.close_wait_s, limits.fin_wait_s) || null),
    unacknowledged_timeout_s:
      limits && (Math.min(limits.unacknowledged_s, limits.retransmitted_s) || null),
    early_drops: limits?.early_drops ?? null,
    be_liberal: limits && limits.be_liberal === 1,
    up_s: Math.floor(event.ktime_ns / 1e9),
  };
}

function about({ flow, flags, payload_len, seq, ttl }: Packet, netns: number) {
  return {
    ...NOTHING,
    from: endpoint(flow.saddr, flow.sport),
    to: endpoint(flow.daddr, flow.dport),
    flags: flagsText(flags),
    payload_bytes: payload_len,
    seq,
    ttl,
    netns,
  };
}

/** A rule can drop what is INVALID only after connection tracking has looked at it. */
function dropped(event: Event, drop: Drop, known: Knowledge): Match<Known> | null {
  const { packet, conntrack } = drop;
  if (!isByNetfilter(drop, known) || !conntrack) return null;
  const isInvalid = conntrack.info === TRACKED.NO_ENTRY && conntrack.looked_at === 1;
  const isNew = isTakenUp(packet.flags, conntrack);
  if (!isInvalid && !isNew) return null;
  if ((packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn) return null;
  const told = known.droppedBy(event);
  // Then it is not because it is INVALID.
  if (told?.rules[0]?.regardless) return null;
  const rule = ruleEvidence(told);
  const answer = ANSWERS[drop.rejected || told?.answer || 0];
  // A rule that is not known may be for anything.
  if ((isNew || answer !== undefined) && rule.rule === null) return null;
  return {
    evidence: {
      ...about(packet, event.netns),
      ...whereabouts(drop, event.netns, known),
      ...limitsOf(event, conntrack, known),
      ...rule,
      ...(told && told.untracked.length > 0 && untracked(told)),
      kind: 'dropped',
      ...(isNew && { is_new: true }),
      ...(answer !== undefined && { answer }),
    },
    // A rule that drops more than what is INVALID may have done it.
    basis: rule.rules_read && !told?.of_another ? 'direct' : 'inferred',
    subject: 'flow',
    where: service(packet.flow),
    flow: packet.flow,
    group: `${event.netns} dropped ${service(packet.flow)}${ruleGroup(rule)}`,
    owner: null,
  };
}

const untracked = ({ untracked: by, untracked_surely }: DroppedBy) => ({
  untracked_by: by.map(placeText),
  untracked_surely: untracked_surely === 1,
});

const HALF_CLOSED: ReadonlySet<number> = new Set([TCP_STATE.FIN_WAIT1, TCP_STATE.FIN_WAIT2]);

/** It has the numbers of a connection with another peer, and there is none with this one. */
function notTranslated(event: Event, crossed: CrossedReply): Match<Known> | null {
  const { packet, fits, sock, no_connection } = crossed;
  if (sock || !no_connection || !isConnection(fits.state)) return null;
  return {
    evidence: {
      ...about(packet, event.netns),
      kind: 'not translated',
      to: local(fits.flow),
      connection: remote(fits.flow),
      expected_seq: fits.rcv_nxt,
      ...(HALF_CLOSED.has(fits.state) && { half_closed: true }),
    },
    basis: 'inferred',
    subject: 'flow',
    where: remote(fits.flow),
    flow: reversed(packet.flow),
    related: [fits.flow],
    group: `${event.netns} not translated ${packet.flow.saddr} ${packet.flow.sport} ${fits.flow.daddr} ${fits.flow.dport}`,
    owner: ownerOf(fits.owner),
  };
}

const hasNoEntry = ({ info, looked_at }: Conntrack) => info === TRACKED.NO_ENTRY && looked_at === 1;

/** It began a new entry in the middle of a connection, where rules translate. */
const isTranslatedAnew = ({ info, status }: Conntrack) =>
  info === TRACKED.NEW && (status & ENTRY.DST_NAT_DONE) !== 0;

/** It came to an address of this host, where nothing listens, in the middle of a connection. */
function forgotten(
  event: Event,
  { packet, sock, listener, conntrack, dialled, since_end_ms }: ResetSent,
  known: Knowledge,
): Match<Known> | null {
  if (!packet || sock || listener || dialled || packet.flags & TCP_FLAG.syn) return null;
  if (
    !conntrack ||
    !(
      hasNoEntry(conntrack) ||
      (isTranslatedAnew(conntrack) && servedAtSource(packet.flow) && since_end_ms === 0)
    )
  )
    return null;
  return {
    evidence: {
      ...about(packet, event.netns),
      kind: 'forgotten',
      arrived_on: packet.device || null,
      ...limitsOf(event, conntrack, known),
    },
    basis: 'inferred',
    subject: 'flow',
    where: service(packet.flow),
    flow: packet.flow,
    group: `${event.netns} forgotten ${service(packet.flow)}`,
    owner: null,
  };
}
