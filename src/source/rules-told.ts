// SPDX-License-Identifier: Apache-2.0

import { type Candidate, droppers } from '../host/nftables/droppers.ts';
import { LegacyTables } from '../host/nftables/legacy.ts';
import type { Rules, Segment } from '../host/nftables/match.ts';
import { NFPROTO } from '../host/nftables/op.ts';
import { type Chain, FAMILIES, Nftables } from '../host/nftables/ruleset.ts';
import { ruleText } from '../host/nftables/text.ts';
import type { DeviceName } from '../host/nftables/values.ts';
import { isTakenUp, TRACKED } from '../tcp/conntrack.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import type { Drop, DropRule, DropRules } from '../wire/types.gen.ts';

/** Of one packet that are told. */
export const MAX_RULES = 4;

/** What may have dropped a packet, among these rules. */
export interface Dropper extends Candidate {
  rules: Rules;
}

export type Found = Pick<DropRules, 'rules' | 'others'>;

/** Connection tracking takes it for part of no connection that it knows, as far as rules are told. */
const isUnknown = ({ conntrack, flags }: Segment) =>
  conntrack?.info === TRACKED.NO_ENTRY ||
  conntrack?.info === TRACKED.UNTRACKED ||
  isTakenUp(flags ?? 0, conntrack);

/** As an answer has it, of an open connection: enum ip_conntrack_info, and IPS_SEEN_REPLY with what comes of it. */
const ESTABLISHED = { info: 3, status: 0x0e };

/** What is told of these, for a packet that was dropped. */
export function foundOf(
  all: Dropper[],
  drop: Drop,
  segment: Segment | null,
  device: DeviceName,
): Found {
  const found = answering(all, drop);
  const [first] = found;
  const regardless =
    found.length === 1 && first && segment && isUnknown(segment) && dropsRegardless(first, segment);
  const rules = found
    .slice(0, MAX_RULES)
    .map((one) => ({ ...toldOf(one, device), regardless: regardless ? 1 : 0 }));
  return { rules, others: found.length - rules.length };
}

/** Whether it would drop a segment of a known connection as well. */
function dropsRegardless({ rules, hook, chain, rule }: Dropper, segment: Segment): boolean {
  const known = droppers(rules, { ...segment, conntrack: ESTABLISHED });
  return known.some((one) => one.hook === hook && one.chain === chain && one.rule === rule);
}

/** Those that do what was seen: answer, or not. */
function answering(found: Dropper[], { rejected, packet }: Drop): Dropper[] {
  if (rejected > 0) return found.filter((one) => answerOf(one) === rejected);
  // Resets are answered with none, and ICMP errors are limited.
  const mayBeSilent = (one: Candidate) =>
    answerOf(one) !== RESET || (packet.flags & TCP_FLAG.rst) !== 0;
  const silent = found.filter(mayBeSilent);
  return silent.length > 0 ? silent : found;
}

/** As Drop.rejected numbers them. */
const [RESET, ICMP] = [1, 2];

function answerOf({ rule }: Candidate): number {
  for (const op of rule?.ops ?? []) {
    if (op.kind === 'reject') return op.answer === 'reset' ? RESET : ICMP;
  }
  return 0;
}

export function toldOf(one: Dropper, device: DeviceName): DropRule {
  const { hook, chain, rule, rules } = one;
  return {
    family: familyName(one),
    ...{ table: chain.table, chain: chain.chain, hook },
    handle: rule?.handle ?? '0',
    text: rule ? ruleText(rule, (set) => membersOf(rules, chain, set), device) : 'policy drop',
    answer: answerOf(one),
    regardless: 0,
  };
}

const membersOf = (rules: Rules, chain: Chain, set: string) =>
  rules instanceof Nftables ? rules.members(chain, set) : null;

/** The program's name stands for tables that only it can show. */
function familyName({ chain, rules }: Dropper): string {
  if (rules instanceof LegacyTables)
    return chain.family === NFPROTO.IPV6 ? 'ip6tables-legacy' : 'iptables-legacy';
  return FAMILIES[chain.family] ?? String(chain.family);
}
