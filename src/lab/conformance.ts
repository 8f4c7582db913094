// SPDX-License-Identifier: Apache-2.0

import { existsSync, readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { CAUSES } from '../causes/registry.gen.ts';
import type { Finding, FlowText } from '../diagnose/finding.ts';
import { Socket } from '../native/sockets.ts';
import type { Family } from '../tcp/address.ts';
import { IPPROTO_MPTCP } from './connections.ts';
import { destroyingLacks } from './destroying.ts';
import { droppingLacks } from './dropping.ts';
import { Lab } from './lab.ts';
import { missingCommands } from './netns.ts';
import { rewriterLacks } from './rewriter.ts';
import type { Made, Options, Scenario, Wanted } from './scenario.ts';
import { aoLacks, md5Lacks } from './scenarios/keys.ts';
import { securityLacks } from './security.ts';
import { atEachMoment } from './until.ts';
import type { Watching } from './watching.ts';

/** Any number that nothing else gives: a prime. */
export const TIMES = 7;

const LIMIT_MS = 20_000;
/** Longer than the engine holds what may be explained better. */
export const SETTLE_MS = 700;

/** Occurrences by cause, `unexplained` among them, benign ones not. */
export type Reported = Record<string, number>;

/** One scenario with one family, and what tcpwhy said. */
export interface Row {
  scenario: string;
  family: Family;
  /** The cause that was made to happen, and how often. */
  cause: string;
  times: number;
  /** Causes that may stand beside it. */
  beside: readonly string[];
  /** Of the scenario's own namespaces. */
  reported: Reported;
  unexplained: number;
  verdict: 'passed' | 'failed' | 'skipped';
  why: string | null;
}

/** Occurrences of findings by cause. */
export function sums(findings: readonly Pick<Finding, 'cause' | 'count'>[]): Reported {
  const sum: Reported = {};
  for (const { cause, count } of findings) sum[cause] = (sum[cause] ?? 0) + count;
  return sum;
}

const NEEDS = {
  ao: aoLacks,
  rewriter: rewriterLacks,
  destroying: destroyingLacks,
  dropping: droppingLacks,
  md5: md5Lacks,
  mptcp: mptcpLacks,
  reset_reasons: resetReasonsLack,
  security: securityLacks,
  xfrm: xfrmLacks,
};

function xfrmLacks(): string | null {
  return existsSync('/proc/net/xfrm_stat') ? null : 'a kernel with IPsec';
}

/** Of active resets too: the last that got theirs. */
function resetReasonsLack(): string | null {
  return kernelKnows('SK_RST_REASON_TCP_ABORT_ON_LINGER')
    ? null
    : 'a kernel that says why it resets';
}

/** Whether its BTF has the name. */
function kernelKnows(name: string): boolean {
  return readFileSync('/sys/kernel/btf/vmlinux').includes(`\0${name}\0`);
}

function mptcpLacks(): string | null {
  try {
    Socket.open({ protocol: IPPROTO_MPTCP }).close();
    return null;
  } catch {
    return 'a kernel with MPTCP';
  }
}

/** What this machine has not that the scenario needs, or null. */
export function lacks(
  { needs, drop_reason, knows, knows_ipv6, commands = [] }: Scenario,
  family: Family,
): string | null {
  const lacking = needs ? NEEDS[needs]() : null;
  if (lacking) return `needs ${lacking}`;
  if (drop_reason && !kernelKnows(`SKB_DROP_REASON_${drop_reason}`))
    return `needs a kernel with the reason ${drop_reason}`;
  for (const name of [knows, family === 6 && knows_ipv6])
    if (name && !kernelKnows(name)) return `needs a kernel that knows ${name}`;
  const [missing] = missingCommands(commands);
  return missing === undefined ? null : `needs ${missing}`;
}

/** What was reported, but for what may stand beside the scenario's cause. */
export function withoutBeside({ beside = [] }: Scenario, reported: Reported): Reported {
  return Object.fromEntries(Object.entries(reported).filter(([cause]) => !beside.includes(cause)));
}

/** The flow is between the ends that were used, in either direction, and seen where it happened. */
export function isAbout({ saddr, sport, daddr, dport, netns }: FlowText, made: Made): boolean {
  const ends = [
    { address: saddr, port: sport },
    { address: daddr, port: dport },
  ];
  const isServer = (end: unknown) => isDeepStrictEqual(end, made.server);
  const isClient = (end: unknown) => made.clients.some((client) => isDeepStrictEqual(end, client));
  const [one, other] = ends;
  const between = (isServer(one) && isClient(other)) || (isServer(other) && isClient(one));
  const to_itself = isClient(one) && isDeepStrictEqual(one, other);
  return (between || to_itself) && netns === made.netns;
}

/** Where else it is said to have happened than in the one place where it shall be, or null. */
export function elsewhereThan(made: Made, told: readonly Pick<Finding, 'where'>[]): string | null {
  const places = told.map(({ where }) => where);
  if (made.where === undefined || isDeepStrictEqual(places, [made.where])) return null;
  return `${places.join(', ')} instead of ${made.where}`;
}

/**
 * Makes the failure happen in a lab of its own, and compares what tcpwhy says of it. `make` may look
 * at the lab while it is made.
 */
export async function examine(
  watching: Watching,
  scenario: Scenario,
  options: Options,
  make: (lab: Lab, work: () => Made) => Made = (_, work) => work(),
): Promise<Row & { findings: Finding[] }> {
  const { times, family } = options;
  const { id, cause, beside = [] } = scenario;
  const row = {
    ...{ scenario: id, family, cause, times, beside, reported: {}, unexplained: 0 },
    ...{ verdict: 'skipped' as const, why: null, findings: [] },
  };
  const why = notShown(watching, scenario) ?? lacks(scenario, family);
  if (why) return { ...row, why };
  try {
    const done = await examineIn(watching, scenario, options, make, row);
    if (scenario.resets_at_end) await watching.settle(() => true, LIMIT_MS, SETTLE_MS);
    return done;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { ...row, verdict: 'failed', why };
  }
}

async function examineIn(
  watching: Watching,
  scenario: Scenario,
  options: Options,
  make: (lab: Lab, work: () => Made) => Made,
  row: Row & { findings: Finding[] },
): Promise<Row & { findings: Finding[] }> {
  const { times } = options;
  const { cause } = scenario;
  using lab = Lab.open();
  scenario.prepare?.(lab, options);
  const before = watching.counts;
  const findings = () => watching.findings(lab.netnsInodes, before);
  const isTold = () => (sums(findings())[cause] ?? 0) >= times;
  const run = () => make(lab, () => scenario.run(lab, { ...options, isTold }));
  const made = scenario.looked_for ? atEachMoment(() => watching.look(), run) : run();
  await watching.settle(isTold, LIMIT_MS, SETTLE_MS);
  const { unexplained = 0, ...reported } = sums(findings());
  const exact = isDeepStrictEqual(withoutBeside(scenario, reported), { [cause]: times });
  const told = findings().filter((one) => one.cause === cause);
  const stray = told.find((one) => !isAbout(one.flow, made));
  const short = told.find((one) => !has(one.evidence, scenario.says?.(options) ?? {}));
  const why = stray
    ? `about another connection: ${stray.summary}`
    : short
      ? `the evidence is another: ${JSON.stringify(short.evidence)}`
      : elsewhereThan(made, told);
  return {
    ...{ ...row, reported, unexplained, findings: findings() },
    verdict: exact && why === null ? 'passed' : 'failed',
    why,
  };
}

/** Whether all that is wanted is there. */
export function has(value: unknown, wanted: Wanted): boolean {
  if (wanted instanceof RegExp) return typeof value === 'string' && wanted.test(value);
  if (wanted instanceof Set)
    return (
      Array.isArray(value) &&
      value.length === wanted.size &&
      [...wanted].every((one) => value.some((some) => has(some, one)))
    );
  if (typeof wanted !== 'object' || wanted === null) return value === wanted;
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(wanted) && (value as unknown[]).length !== wanted.length) return false;
  return Object.entries(wanted).every(([name, inner]) =>
    has((value as Record<string, unknown>)[name], inner),
  );
}

/** A scenario and the family that it is made with. */
export interface Case {
  scenario: Scenario;
  family: Family;
}

export function casesOf(scenario: Scenario): Case[] {
  return scenario.families.map((family) => ({ scenario, family }));
}

/** The first scenario of each cause, once: with one family and the other by turns. */
export function briefly(scenarios: readonly Scenario[]): Case[] {
  const first = new Map<string, Scenario>();
  for (const scenario of scenarios)
    if (!first.has(scenario.cause)) first.set(scenario.cause, scenario);
  return [...first.values()].map((scenario, at) => {
    const { families } = scenario;
    return { scenario, family: families[at % families.length] ?? 4 };
  });
}

/**
 * Examines one case after another and gives the rows in that order. While one settles the next is
 * made, if it has other addresses: connections of two labs are told apart by nothing else.
 */
export async function* examineAll(
  watching: Watching,
  cases: readonly Case[],
  times: number,
): AsyncGenerator<Row & { findings: Finding[] }> {
  let before: { one: Case; row: ReturnType<typeof examine> } | null = null;
  for (const one of cases) {
    if (before && !canOverlap(before.one, one)) {
      yield await before.row;
      before = null;
    }
    const row = examine(watching, one.scenario, { times, family: one.family });
    if (before) yield await before.row;
    before = { one, row };
  }
  if (before) yield await before.row;
}

/** A program that rewrites peers does so for the whole machine. */
const rewrites = ({ scenario }: Case) => scenario.needs === 'rewriter';

function canOverlap(one: Case, other: Case): boolean {
  return one.family !== other.family && !rewrites(one) && !rewrites(other);
}

function notShown({ unseen, tier }: Watching, scenario: Scenario): string | null {
  const { cause } = scenario;
  if (scenario.tier && scenario.tier !== tier) return `needs the tier of ${scenario.tier}`;
  const facts = CAUSES.find(({ id }) => id === cause)?.needs ?? [];
  const blind = facts.filter((fact) => unseen.has(fact));
  return blind.length > 0 ? `this kernel does not show ${blind.join(', ')}` : null;
}
