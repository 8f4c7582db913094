// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/vm/verified.ts [--update] LOG…
//
// Compares what the verifiers of other kernels went through, as conformance.ts --json printed it,
// with the baseline; exit status 1 where a program grew by more than a tenth, or is not there any more. With
// --update that becomes the baseline; what is not there any more is said all the same.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { resultIn } from './result.ts';

const BASELINE = join(import.meta.dirname, '../../test/kernel/verifier.json');
const GROWTH = 1.1;

/** Instructions by kernel series and tier, and program. */
export type Verified = Record<string, Record<string, number>>;

export function readBaseline(): Verified {
  return JSON.parse(readFileSync(BASELINE, 'utf8'));
}

export function writeBaseline(baseline: Verified): void {
  const sorted = Object.entries(baseline).sort(([a], [b]) =>
    a.localeCompare(b, 'en', { numeric: true }),
  );
  writeFileSync(BASELINE, `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`);
}

/** `6.1 hooks` of 6.1.0-56-cloud-amd64: each tier has its own programs. */
export function seriesOf(release: string, tier: string): string {
  return `${release.split('.').slice(0, 2).join('.')} ${tier}`;
}

/** Programs at more than a tenth above the baseline, or not in it, or in nothing else, one line each. */
export function worse(
  now: Record<string, number>,
  before: Record<string, number> | undefined,
): string[] {
  const grown = Object.entries(now).flatMap(([name, count]) => {
    const was = before?.[name];
    if (was === undefined) return [`${name}: ${count}, not in the baseline`];
    return count > was * GROWTH ? [`${name}: ${count}, was ${was}`] : [];
  });
  return [...grown, ...gone(now, before)];
}

/** What a kernel refuses now that it had loaded is skipped by its scenarios, not failed. */
function gone(now: Record<string, number>, before: Record<string, number> = {}): string[] {
  return Object.keys(before)
    .filter((name) => now[name] === undefined)
    .map((name) => `${name}: in the baseline, and not attached`);
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { update: { type: 'boolean', default: false } },
  });
  const baseline = readBaseline();
  let failed = 0;
  for (const path of positionals) {
    const result = resultIn(readFileSync(path, 'utf8'));
    if (!result || Object.keys(result.verified).length === 0) continue;
    const { release, tier, verified } = result;
    const series = seriesOf(release, tier);
    const found = (values.update ? gone : worse)(verified, baseline[series]);
    for (const text of found) console.log(`the verifier of Linux ${series}: ${text}`);
    failed += found.length;
    if (values.update) baseline[series] = verified;
  }
  if (values.update) writeBaseline(baseline);
  process.exitCode = failed > 0 ? 1 : 0;
}
