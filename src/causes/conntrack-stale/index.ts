// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { familyOf } from '../../tcp/address.ts';
import { ENTRY, TRACKED } from '../../tcp/conntrack.ts';
import { endpoint, local, remote } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { reversed } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import type { Conntrack } from '../../wire/types.gen.ts';
import { defineCause, type Match } from '../define.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { SILENCE, waited } from '../shared/silence.ts';

type Known = {
  from: string;
  dialled: string;
  goes_to: string;
  rules_send_to: string | null;
  flags: string;
  entry_state: string | null;
  entry_idle_s: number | null;
  forgotten_in_s: number;
  dropped: string | null;
  netns: number;
};

export default defineCause<Known>({
  id: 'conntrack-stale',
  title: 'an older entry of connection tracking sends it elsewhere',
  severity: 'error',
  explains:
    'This host sends a connection where its entry in connection tracking says, which is older than the rules: they would send it elsewhere now.',
  seenAs: ['connect-hangs'],
  needs: ['drop', 'tracked', 'retransmit', 'state'],
  on: ['retransmit', 'drop', 'state_change'],
  supersedes: [
    'syn-resent',
    'connect-given-up',
    'connect-timeout',
    'icmp-unreachable',
    'neighbour-failed',
    'netfilter-drop',
    'no-route',
  ],
  leadsTo: [...SILENCE, 'icmp-unreachable'],
  match(event, known) {
    switch (event.kind) {
      case 'retransmit':
        return sentOn(event, known);
      case 'drop':
        return dropped(event, known);
      case 'state_change':
        return dialledHere(event, known);
      default:
        return null;
    }
  },
  summary({ from, dialled, goes_to, rules_send_to, entry_state, flags }) {
    const state = entry_state === null ? '' : ` (${entry_state})`;
    const entry = `an older entry${state} of connection tracking for ${from}`;
    const what = flags.includes('S')
      ? `the connect to ${dialled}`
      : `[${flags}] of the connection with ${dialled}`;
    const where = goes_to === dialled ? 'sends it on as it is' : `sends it to ${goes_to}`;
    const now =
      rules_send_to === null
        ? ''
        : rules_send_to === dialled
          ? '; no rule translates it any more'
          : `; the rules would send it to ${rules_send_to} now`;
    return `${what} met ${entry}, which ${where}${now}`;
  },
  advice({ from, dialled, goes_to, rules_send_to, entry_idle_s, forgotten_in_s, netns }, flow) {
    const { saddr, sport, daddr, dport } = flow;
    const family = familyOf(saddr) === 6 ? '-f ipv6 ' : '';
    const selector = `${family}-p tcp -s ${saddr} --sport ${sport} -d ${daddr} --dport ${dport}`;
    const every = `${family}-p tcp -d ${daddr} --dport ${dport}${goes_to === dialled ? '' : ` --reply-src ${hostOf(goes_to)}`}`;
    const idle = entry_idle_s === null ? '' : `, idle for ${entry_idle_s} s`;
    const rule =
      rules_send_to === null
        ? [
            `the rules cannot be read from here; does one still send ${dialled} to ${goes_to}? \`${inNetns(netns, 'nft -a list ruleset')} | grep -nE 'redirect|dnat'\` or \`iptables-save -c | grep -E 'REDIRECT|DNAT'\``,
          ]
        : [];
    return [
      ...rule,
      `remove the entry${idle}, and the next SYN goes by the rules: \`${inNetns(netns, `conntrack -D ${selector}`)}\` Look at it first: \`${inNetns(netns, `conntrack -L ${selector}`)}\``,
      `other clients may have such entries too (what is open by one ends then): \`${inNetns(netns, `conntrack -D ${every}`)}\` What changes the rules should do that each time`,
      `without that it ends by itself ${forgotten_in_s} s after the last packet, which each SYN that is sent again may put off: a client that binds the same source port (${sport}) meets it again; let ${from} use another`,
    ];
  },
});

/** Of enum tcp_conntrack; the first two are of a connect. */
const STATES: Readonly<Record<number, string>> = {
  1: 'SYN_SENT',
  2: 'SYN_RECV',
  3: 'ESTABLISHED',
  4: 'FIN_WAIT',
  5: 'CLOSE_WAIT',
  6: 'LAST_ACK',
};
const ESTABLISHED = 3;

/** Where the entry sends what rules would send elsewhere now; null: it does not, or that cannot be known. */
function stale(
  entry: Conntrack,
  flags: number,
  event: Event,
  known: Knowledge,
): Omit<Match<Known>, 'owner'> | null {
  const { sent, answer, status, zone, tcp_state } = entry;
  if (!sent || !answer || zone !== 0 || !(status & ENTRY.CONFIRMED)) return null;
  const dialled = remote(sent);
  const goes_to = endpoint(answer.saddr, answer.sport);
  const now = known.natNow(event.netns, sent, event.ktime_ns);
  const isOlder = (flags & TCP_FLAG.syn) !== 0 && tcp_state >= ESTABLISHED && tcp_state in STATES;
  const isReadable = now.length > 0;
  if (isReadable ? now.some((end) => isAt(end, goes_to)) : !isOlder || !(status & ENTRY.DST_NAT))
    return null;
  const idle_s = entry.forgets_after_s - entry.forgotten_in_s;
  return {
    evidence: {
      from: local(sent),
      dialled,
      goes_to,
      rules_send_to: isReadable ? now.map(inText).join(' or ') : null,
      flags: flagsText(flags),
      entry_state: STATES[tcp_state] ?? null,
      entry_idle_s: isOlder && tcp_state === ESTABLISHED && idle_s > 0 ? idle_s : null,
      forgotten_in_s: entry.forgotten_in_s,
      dropped: null,
      netns: event.netns,
    },
    basis: isReadable ? 'direct' : 'inferred',
    subject: 'flow',
    where: dialled,
    flow: { ...sent, service: DIALLED },
    related: [{ ...reversed(answer), service: DIALLED }],
    group: `${event.netns} ${dialled} ${goes_to}`,
  };
}

const DIALLED = 2;

/** `0.0.0.0:PORT`: that port of this host. */
const isAnywhere = (end: string) => /^(0\.0\.0\.0|\[::\]):/.test(end);
const isAt = (end: string, goes_to: string) =>
  end === goes_to || (isAnywhere(end) && portOf(end) === portOf(goes_to));
const portOf = (end: string) => end.slice(end.lastIndexOf(':'));
const inText = (end: string) => (isAnywhere(end) ? `${portOf(end)} of this host` : end);
const hostOf = (end: string) => end.slice(0, end.lastIndexOf(':')).replace(/[[\]]/g, '');

/** A SYN of another host that nobody answers. */
function sentOn(event: Event<'retransmit'>, known: Knowledge): Match<Known> | null {
  const { passing, conntrack } = event.body;
  if (passing === 0 || !conntrack) return null;
  const found = stale(conntrack, TCP_FLAG.syn, event, known);
  // Without a rule that translates, the kernel does not translate by entries any more either.
  const goes_to = remote(event.body.sock.flow);
  if (!found || found.evidence.goes_to !== goes_to) return null;
  return { ...found, owner: null };
}

/** What other hosts sent: of a connect of this one its end tells. */
function dropped(event: Event<'drop'>, known: Knowledge): Match<Known> | null {
  const { packet, sock, conntrack, reason } = event.body;
  if (sock || packet.ifindex === 0 || !conntrack || conntrack.info >= TRACKED.REPLY) return null;
  const found = stale(conntrack, packet.flags, event, known);
  if (!found) return null;
  return {
    ...found,
    evidence: { ...found.evidence, dropped: known.dropReason(reason) },
    ...(known.droppedBefore_ms(event) !== null && { again: true }),
    owner: null,
  };
}

function dialledHere(event: Event<'state_change'>, known: Knowledge): Match<Known> | null {
  const { old_state, new_state, sock } = event.body;
  if (old_state !== TCP_STATE.SYN_SENT || new_state !== TCP_STATE.CLOSE) return null;
  const entry = known.entryOf(sock.flow, event.ktime_ns);
  const found = entry && stale(entry, TCP_FLAG.syn, event, known);
  if (!found) return null;
  const waited_ms = waited(sock);
  return {
    ...found,
    owner: ownerOf(sock.owner),
    ...(waited_ms !== null && { began_ns: event.ktime_ns - waited_ms * 1e6 }),
  };
}
