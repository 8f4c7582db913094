// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../flow/knowledge.ts';
import { endpoint, local, remote } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { reversed, servedAtSource, service } from '../../tcp/service.ts';
import { isConnection, TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import type { Conntrack, CrossedReply, Drop, Packet, ResetSent } from '../../wire/types.gen.ts';
import { defineCause, type Match } from '../define.ts';
import { ENTRY, isByNetfilter, listEntries, TRACKED, whereabouts } from '../shared/conntrack.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { SILENCE } from '../shared/silence.ts';

type Kind = 'dropped' | 'forgotten' | 'not translated';

type Known = {
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
  idle_timeout_s: number | null;
  /** Only of what was not translated: this end had sent its last. */
  half_closed?: true;
  netns: number;
};

const NOTHING = {
  connection: null,
  arrived_on: null,
  leaves_by: null,
  expected_seq: null,
  idle_timeout_s: null,
};

export default defineCause<Known>({
  id: 'conntrack-invalid',
  title: 'connection tracking does not take it for part of a connection',
  severity: 'warning',
  explains:
    'A segment of an open connection was INVALID to connection tracking: a rule dropped it, or it was not translated.',
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
        return forgotten(event, event.body);
      default:
        return null;
    }
  },
  summary({ kind, from, to, flags, connection, idle_timeout_s, half_closed, seq, expected_seq }) {
    switch (kind) {
      case 'dropped':
        return `[${flags}] ${from} → ${to} is INVALID to connection tracking, and a rule dropped it: ${reasonOf(flags)}`;
      case 'not translated': {
        const what = `[${flags}] of the connection with ${connection} came from ${from}, not translated back`;
        if (seq !== expected_seq) return `${what}: INVALID to the connection tracking of a hop`;
        return half_closed
          ? `${what}: a hop has forgotten the connection, of which ${to} had closed its half`
          : `${what}: a hop has forgotten the connection, or takes this for INVALID`;
      }
      case 'forgotten': {
        const after = idle_timeout_s === null ? '' : ` (idle for ${idle_timeout_s} s is enough)`;
        return `[${flags}] ${from} → ${to} is of no connection that connection tracking here knows: forgotten${after}, so not translated but reset`;
      }
    }
  },
  advice(
    { kind, from, to, flags, connection, idle_timeout_s, netns, half_closed, seq, expected_seq },
    { saddr, daddr },
  ) {
    const log = '`sysctl -w net.netfilter.nf_conntrack_log_invalid=6` then `journalctl -k`';
    switch (kind) {
      case 'not translated':
        return [
          ...(seq === expected_seq ? [forgottenAdvice(half_closed ? to : null)] : []),
          `which hop translates ${connection}? There the kernel log says what is wrong with the segments of ${from}: ${log}`,
          'out of the window is INVALID to that hop. Taken for the connection’s own: `sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1`',
          'or have it drop what it does not translate, so that no end resets the other: `nft add rule inet filter forward ct state invalid drop`',
          `${to} resets ${from} because of this; there it looks like a reset by the peer`,
        ];
      case 'forgotten':
        return [
          `does this host translate for ${to}? Then its entry was forgotten; else no host here has the connection, and a moved address or a balancer sends it here: \`${inNetns(netns, 'nft -a list ruleset')} | grep -nE 'dnat|snat|masquerade'\``,
          `send something in time: keepalive at the ends${idle_timeout_s === null ? '' : ` below ${idle_timeout_s} s`}: \`sysctl net.ipv4.tcp_keepalive_time\``,
          `or keep entries longer: \`${inNetns(netns, 'sysctl net.netfilter.nf_conntrack_tcp_timeout_established')}\` With 1 a connection is taken up again in the middle: \`${inNetns(netns, 'sysctl net.netfilter.nf_conntrack_tcp_loose')}\``,
        ];
      case 'dropped':
        return [
          `does it see both directions? The ways back and forth: \`ip route get ${daddr}\` and \`ip route get ${saddr}\` What it knows of them: \`${inNetns(netns, listEntries(saddr, `-s ${saddr}`))}\``,
          ...(flags.includes('S')
            ? []
            : [
                `idle for long, or from before a restart? ${idle_timeout_s === null ? 'An idle connection is forgotten after' : `An idle connection is forgotten after ${idle_timeout_s} s`}: \`${inNetns(netns, 'sysctl net.netfilter.nf_conntrack_tcp_timeout_established')}\``,
              ]),
          `the kernel log says why it is INVALID: ${log} Where it is out of the window: \`sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1\``,
          `the rule: \`${inNetns(netns, 'nft -a list ruleset')} | grep -nE 'ct state|ctstate|policy drop'\``,
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
  return `it is what comes next, so the hop most likely has no entry for it any more: ${when}. On the hop: \`sysctl -a -r nf_conntrack_tcp_timeout\``;
}

/** What is usual where a segment with these flags is INVALID. */
function reasonOf(flags: string): string {
  if (flags.includes('S'))
    return 'it did not see the SYN that this answers, which took another way';
  if (flags.includes('R')) return 'it has no such connection, or the reset is out of its window';
  return 'it did not see the SYN-ACK, has forgotten the connection, or it is out of its window';
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
  if (!isByNetfilter(drop, known) || drop.rejected) return null;
  if (conntrack?.info !== TRACKED.NO_ENTRY || !conntrack.looked_at) return null;
  if ((packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn) return null;
  return {
    evidence: {
      ...about(packet, event.netns),
      ...whereabouts(drop, event.netns, known),
      kind: 'dropped',
      idle_timeout_s: conntrack.forgets_after_s || null,
    },
    basis: 'direct',
    subject: 'flow',
    where: service(packet.flow),
    flow: packet.flow,
    group: `${event.netns} dropped ${service(packet.flow)}`,
    owner: null,
  };
}

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
const isTakenUp = ({ info, status }: Conntrack) =>
  info === TRACKED.NEW && (status & ENTRY.DST_NAT_DONE) !== 0;

/** It came to an address of this host, where nothing listens, in the middle of a connection. */
function forgotten(
  event: Event,
  { packet, sock, listener, conntrack, dialled, since_end_ms }: ResetSent,
): Match<Known> | null {
  if (!packet || sock || listener || dialled || packet.flags & TCP_FLAG.syn) return null;
  if (
    !conntrack ||
    !(
      hasNoEntry(conntrack) ||
      (isTakenUp(conntrack) && servedAtSource(packet.flow) && since_end_ms === 0)
    )
  )
    return null;
  return {
    evidence: {
      ...about(packet, event.netns),
      kind: 'forgotten',
      arrived_on: packet.device || null,
      idle_timeout_s: conntrack.forgets_after_s || null,
    },
    basis: 'inferred',
    subject: 'flow',
    where: service(packet.flow),
    flow: packet.flow,
    group: `${event.netns} forgotten ${service(packet.flow)}`,
    owner: null,
  };
}
