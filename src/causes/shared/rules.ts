// SPDX-License-Identifier: Apache-2.0

import type { DroppedBy } from '../../known/drop-rules.ts';
import { familyOf, isLoopback } from '../../tcp/address.ts';
import { servedAtSource } from '../../tcp/service.ts';
import type { DropRule, Flow } from '../../wire/types.gen.ts';
import { inNetns } from './netns.ts';
import { inWords } from './wording.ts';

/** With what a rule may answer, as bpf/include/reject.h numbers them. */
export const ANSWERS: Readonly<Record<number, string>> = { 1: 'a reset', 2: 'an ICMP error' };

/** Which rule dropped a packet, as evidence: `rule` where it can be only one, `rules` where one of several. */
export function ruleEvidence(told: DroppedBy | null) {
  const { rules = [], others = 0, legacy_tables = [] } = told ?? {};
  const only = rules.length === 1 && others === 0 && legacy_tables.length === 0 ? rules[0] : null;
  return {
    rule: only ? only.text : null,
    family: only ? only.family : null,
    table: only ? only.table : null,
    chain: only ? only.chain : null,
    handle: only && only.handle !== '0' ? Number(only.handle) : null,
    hook: only ? only.hook : null,
    one_of: only ? [] : rules.map(placeText),
    other_rules: others || null,
    legacy_tables,
    rules_read: told !== null && told.too_many === 0,
    ...(told && told.legacy_read.length > 0 && { legacy_read: told.legacy_read }),
  };
}

/** It is none of those that were there when they were read. */
export function isNoneNow({ rules_read, rule, one_of, legacy_tables }: RuleEvidence): boolean {
  return rules_read && rule === null && one_of.length + legacy_tables.length === 0;
}

/** Of a packet that none of the rules of now meets in that way. */
export function changedText({ legacy_read = [] }: RuleEvidence, netns: number, flow: Flow): string {
  if (legacy_read.length === 0)
    return 'they have changed since. What changes them, and which program it is: `nft monitor`';
  const save = `${legacyProgram(flow)}-save`;
  return `they have changed since, or it is none of them. Nobody tells of changes to rules of iptables-legacy; tables: ${inWords(legacy_read.join(', '))}. Once, and again when it has happened: \`${inNetns(netns, `${save} -c`)}\``;
}

export type RuleEvidence = ReturnType<typeof ruleEvidence>;

const legacyProgram = ({ saddr }: Flow) =>
  familyOf(saddr) === 6 ? 'ip6tables-legacy' : 'iptables-legacy';

/** What tells findings of one service apart: the rule, where it is known. */
export function ruleGroup({ family, table, chain, handle }: RuleEvidence): string {
  return family === null ? '' : ` ${family} ${table} ${chain} ${handle}`;
}

/** Whoever it was, at the beginning of a sentence. */
export function ruleWords(of: RuleEvidence): string {
  const { rule, family, table, chain, handle, one_of, other_rules, legacy_tables } = of;
  if (rule !== null) {
    const place = inWords(`${family} ${table} ${chain}`);
    return handle === null
      ? `the policy of chain ${place}`
      : `rule ${handle} of ${place} (${inWords(rule)})`;
  }
  const more = [
    ...one_of.map(inWords),
    ...(other_rules === null ? [] : [`${other_rules} more`]),
    ...legacy_tables.map((name) => `the rules of table ${inWords(name)} of iptables-legacy`),
  ];
  return more.length === 0 ? 'a rule' : `one of ${more.join(', ')}`;
}

export function placeText({ family, table, chain, handle, text }: DropRule): string {
  const place = `${family} ${table} ${chain}`;
  return handle === '0' ? `the policy of ${place}` : `rule ${handle} of ${place} (${text})`;
}

/** Null where it is not known which rule it was. */
export function ruleAdvice(
  of: RuleEvidence,
  netns: number,
  flow: Flow,
  tracked = true,
): string[] | null {
  const { family, table, chain, handle } = of;
  if (family === null || table === null || chain === null) return null;
  const isWord = [table, chain].every((name) => /^\w[\w./-]*$/.test(name));
  if (!isWord) return [`see it: \`${inNetns(netns, 'nft -a list ruleset')}\``];
  const itself = toItself(of, flow);
  const isV6 = family === 'ip6' || (family !== 'ip' && familyOf(flow.saddr) === 6);
  if (isOfIptables(of)) {
    const iptables = isV6 ? 'ip6tables' : 'iptables';
    return [
      `see it: \`${inNetns(netns, `${iptables} -t ${table} -nvL ${chain} --line-numbers`)}\`${handle === null ? '' : ` or, by its handle ${handle}, \`${inNetns(netns, `nft -a list chain ${family} ${table} ${chain}`)}\``}`,
      ...(tracked && isAnswer(of, flow)
        ? [
            `${ANSWER}: \`${inNetns(netns, `${iptables} -t ${table} -I ${chain} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT`)}\``,
          ]
        : []),
      `${should(itself)}: \`${inNetns(netns, `${iptables} -t ${table} -I ${chain} ${itself?.iptables ?? iptablesSelector(flow)} -j ACCEPT`)}\` ${WRITER}`,
    ];
  }
  if (family.endsWith('-legacy')) {
    const before = handle === null ? '-A' : '-I';
    const at = handle === null ? chain : `${chain} ${handle}`;
    return [
      `see it${handle === null ? '' : ` (number ${handle})`}: \`${inNetns(netns, `${family} -t ${table} -nvL ${chain} --line-numbers`)}\``,
      `${should(itself)}: \`${inNetns(netns, `${family} -t ${table} ${before} ${at} ${itself?.iptables ?? iptablesSelector(flow)} -j ACCEPT`)}\` ${WRITER}`,
    ];
  }
  const place = `${family} ${table} ${chain}`;
  const before = handle === null ? `add rule ${place}` : `insert rule ${place} handle ${handle}`;
  return [
    `see it${handle === null ? '' : ` (handle ${handle})`}: \`${inNetns(netns, `nft -a list chain ${place}`)}\``,
    ...(tracked && isAnswer(of, flow)
      ? [`${ANSWER}: \`${inNetns(netns, `nft ${before} ct state established,related accept`)}\``]
      : []),
    `${should(itself)}: \`${inNetns(netns, `nft ${before} ${itself?.nft ?? nftSelector(flow)} accept`)}\` ${WRITER}`,
  ];
}

/** What a host says to itself goes by lo in both directions, whatever its addresses: how to match all of it; null: it is not that. */
function toItself({ hook }: RuleEvidence, { saddr, daddr }: Flow) {
  if (saddr !== daddr && !(isLoopback(saddr) && isLoopback(daddr))) return null;
  if (hook === 'input') return { nft: 'iif lo', iptables: '-i lo' };
  return hook === 'output' ? { nft: 'oif lo', iptables: '-o lo' } : null;
}

const should = (itself: ReturnType<typeof toItself>) =>
  itself === null
    ? 'where it should pass'
    : 'this host says it to itself, by lo, which a firewall lets pass as a whole, before all that drops or rejects';

const ANSWER =
  'it is an answer of a service: rules that let connections begin have to let pass what belongs to them, by their state, before all that drops or rejects';

/** Connection tracking knows it there, unless it is told not to look. */
function isAnswer({ family, table, hook }: RuleEvidence, flow: Flow): boolean {
  const isTracked = hook === 'input' || hook === 'forward' || hook === 'output';
  return isTracked && family !== 'bridge' && table !== 'raw' && servedAtSource(flow);
}

/** Where only rules of iptables-legacy may have dropped it. */
export function legacyAdvice(
  { legacy_tables, legacy_read = [] }: RuleEvidence,
  netns: number,
  flow: Flow,
): string[] {
  const tables = legacy_tables.length > 0 ? legacy_tables : legacy_read;
  const iptables = legacyProgram(flow);
  return [
    `find the rule, by what it counts: \`${inNetns(netns, `${iptables}-save -c`)} | grep -E 'DROP|REJECT'\``,
    `see which it is: \`${inNetns(netns, `${iptables} -t raw -I PREROUTING ${iptablesSelector(flow)} -j TRACE`)}\` then \`dmesg | grep TRACE\` Afterwards the same with -D. Tables that are there: ${inWords(tables.join(', '))}`,
  ];
}

const WRITER =
  'Where a program wrote it (firewalld, ufw, a network policy) it writes it again: allow it there.';

/** Tables that iptables-nft keeps its rules in. */
const OF_IPTABLES: ReadonlySet<string> = new Set(['filter', 'mangle', 'raw', 'security']);

function isOfIptables({ family, table, chain, hook }: RuleEvidence): boolean {
  return (
    (family === 'ip' || family === 'ip6') &&
    OF_IPTABLES.has(table ?? '') &&
    hook !== null &&
    (chain === hook.toUpperCase() || /^[A-Z]/.test(chain ?? ''))
  );
}

/** The flow's packets for nft, by its service's port. */
export function nftSelector(flow: Flow): string {
  const { saddr, sport, daddr, dport } = flow;
  const ip = familyOf(saddr) === 6 ? 'ip6' : 'ip';
  const port = servedAtSource(flow) ? `sport ${sport}` : `dport ${dport}`;
  return `${ip} saddr ${saddr} ${ip} daddr ${daddr} tcp ${port}`;
}

function iptablesSelector(flow: Flow): string {
  const { saddr, sport, daddr, dport } = flow;
  const port = servedAtSource(flow) ? `--sport ${sport}` : `--dport ${dport}`;
  return `-p tcp -s ${saddr} -d ${daddr} ${port}`;
}
