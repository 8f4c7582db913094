// SPDX-License-Identifier: Apache-2.0
//
// Usage, as root: node tools/vm/conformance.ts [--tier tracepoints] [--probes] [--rewriter OBJECT] [--json] [SCENARIO…]
//
// Makes every failure of the lab happen 7 times on this kernel and compares what tcpwhy says:
// a line a scenario, then `N passed, N failed, N skipped`. With --json a line before that has all of
// it, the kernel's release and its hooks too: tools/vm/table.ts makes docs/kernels.md of such lines.

import { release } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { CAUSES } from '../../src/causes/registry.gen.ts';
import { Pipeline } from '../../src/diagnose/pipeline.ts';
import { Lab } from '../../src/lab/lab.ts';
import type { Options, Scenario } from '../../src/lab/scenario.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { LiveSource } from '../../src/source/live.ts';

const TIMES = 7;
const LIMIT_MS = 15_000;
/** Longer than the engine holds what may be explained better. */
const SETTLE_MS = 700;
/** Shown beside a failure that they explain. */
const BESIDE: Record<string, readonly string[]> = { 'peer-collision': ['peer-rewritten'] };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tier: { type: 'string', default: 'hooks' },
    probes: { type: 'boolean', default: false },
    rewriter: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

export interface Row {
  scenario: string;
  family: number;
  expected: string;
  /** Count by cause, of this scenario's namespaces. */
  reported: Record<string, number>;
  unexplained: number;
  verdict: 'passed' | 'failed' | 'skipped';
  why: string | null;
}

const source = LiveSource.open({
  filter: { port: null, host: null, netns: null },
  records_per_s: 100,
  tier: values.tier === 'tracepoints' ? 'tracepoints' : 'hooks',
  probes: values.probes,
});
const pipeline = new Pipeline(source.header, CAUSES);
pipeline.push(source.begin());
const unseen = new Set(
  source.header.hooks.filter(({ hook }) => hook === '').map(({ fact }) => fact),
);

const rows: Row[] = [];
for (const scenario of SCENARIOS) {
  if (positionals.length > 0 && !positionals.includes(scenario.id)) continue;
  for (const family of scenario.families) {
    const row = await compare(scenario, { times: TIMES, family, rewriter: values.rewriter });
    rows.push(row);
    const told = Object.entries(row.reported).map(([cause, count]) => `${cause} ${count}`);
    const rest = row.unexplained > 0 ? `, unexplained ${row.unexplained}` : '';
    const why = row.why ? ` (${row.why})` : '';
    console.log(`${row.verdict}  ${row.scenario} IPv${family}: ${told.join(', ')}${rest}${why}`);
  }
}
source.close();

const number = (verdict: Row['verdict']) => rows.filter((row) => row.verdict === verdict).length;
if (values.json) {
  const { kernel, tier, hooks } = source.header;
  console.log(JSON.stringify({ release: release(), kernel, tier, hooks, rows }));
}
console.log(`${number('passed')} passed, ${number('failed')} failed, ${number('skipped')} skipped`);
process.exit(number('failed') === 0 ? 0 : 1);

async function compare(scenario: Scenario, options: Options): Promise<Row> {
  const { id, cause, needs } = scenario;
  const row: Row = {
    scenario: id,
    family: options.family,
    expected: cause,
    reported: {},
    unexplained: 0,
    verdict: 'skipped',
    why: null,
  };
  const facts = CAUSES.find((one) => one.id === cause)?.needs ?? [];
  const blind = facts.filter((fact) => unseen.has(fact));
  if (blind.length > 0) return { ...row, why: `this kernel does not show ${blind.join(', ')}` };
  if (needs === 'rewriter' && !options.rewriter) return { ...row, why: 'no rewriter given' };
  try {
    using lab = Lab.open();
    scenario.prepare?.(lab, options);
    const before = counts(lab);
    scenario.run(lab, options);
    const since = () => difference(before, counts(lab));
    await settled(() => (since()[cause] ?? 0) >= TIMES);
    const { unexplained = 0, benign: _, ...reported } = since();
    const others = Object.keys(reported).filter(
      (other) => other !== cause && !BESIDE[cause]?.includes(other),
    );
    const exact = reported[cause] === TIMES && others.length === 0;
    return { ...row, reported, unexplained, verdict: exact ? 'passed' : 'failed' };
  } catch (error) {
    return {
      ...row,
      verdict: 'failed',
      why: error instanceof Error ? error.message : String(error),
    };
  }
}

/** Takes what comes until it is so and nothing can change any more, or the time is over. */
async function settled(isSo: () => boolean): Promise<void> {
  const end = performance.now() + LIMIT_MS;
  let so_at = Number.POSITIVE_INFINITY;
  while (performance.now() < Math.min(end, so_at + SETTLE_MS)) {
    await pause(50);
    pipeline.push(source.tick());
    if (isSo()) so_at = Math.min(so_at, performance.now());
  }
}

function counts(lab: Lab): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { finding } of pipeline.engine.findings.values()) {
    if (!lab.netnsInodes.includes(finding.flow.netns)) continue;
    sums[finding.cause] = (sums[finding.cause] ?? 0) + finding.count;
  }
  return sums;
}

function difference(before: Record<string, number>, after: Record<string, number>) {
  const grown = Object.entries(after).map(
    ([cause, count]) => [cause, count - (before[cause] ?? 0)] as const,
  );
  return Object.fromEntries(grown.filter(([, count]) => count > 0));
}
