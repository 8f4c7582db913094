// SPDX-License-Identifier: Apache-2.0
//
// Usage, as root: node tools/vm/conformance.ts [--tier tracepoints] [--probes] [--btf FILE] [--json]
//     [--brief] [SCENARIO…]
//
// Makes every failure of the lab happen 7 times on this kernel and compares what tcpwhy says:
// a line a scenario, then `N passed, N failed, N skipped`. With --json a line before that has all of
// it, the kernel's release, its hooks and what its verifier went through too: tools/vm/table.ts makes
// docs/kernels.md of such lines, tools/vm/verified.ts compares them with the baseline. With --brief it
// makes one scenario of each cause, with IPv4 and IPv6 by turns. What failed is tried once more.

import { release } from 'node:os';
import { parseArgs } from 'node:util';
import { briefly, casesOf, examineAll, type Row, TIMES } from '../../src/lab/conformance.ts';
import { run } from '../../src/lab/netns.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { Watching } from '../../src/lab/watching.ts';
import { EVERYTHING } from '../../src/source/filter.ts';
import { LiveSource } from '../../src/source/live.ts';
import type { Result } from './result.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tier: { type: 'string', default: 'hooks' },
    probes: { type: 'boolean', default: false },
    btf: { type: 'string' },
    json: { type: 'boolean', default: false },
    brief: { type: 'boolean', default: false },
  },
});

loadModules();
const source = LiveSource.open({
  filter: EVERYTHING,
  records_per_s: 100,
  tier: values.tier === 'tracepoints' ? 'tracepoints' : 'hooks',
  probes: values.probes,
  btf: values.btf,
});
const watching = new Watching(source);

const chosen = SCENARIOS.filter(({ id }) => positionals.length === 0 || positionals.includes(id));
const cases = values.brief ? briefly(chosen) : chosen.flatMap(casesOf);
const rows: Row[] = [];
for await (const row of examineAll(watching, cases, TIMES)) rows.push(print(row));
// On a machine that is busy with something else more happens than was made to happen.
const failed = rows.flatMap(({ verdict }, at) => (verdict === 'failed' ? [at] : []));
const again = failed.map((at) => cases[at] as (typeof cases)[number]);
let tried = 0;
for await (const row of examineAll(watching, again, TIMES))
  rows[failed[tried++] as number] = print(row, 'second try: ');
const verified = source.verified();
source.close();

function print({ findings: _, ...row }: Row & { findings: unknown }, lead = ''): Row {
  const told = Object.entries(row.reported).map(([cause, count]) => `${cause} ${count}`);
  const rest = row.unexplained > 0 ? `, unexplained ${row.unexplained}` : '';
  const why = row.why ? ` (${row.why})` : '';
  console.log(
    `${row.verdict}  ${lead}${row.scenario} IPv${row.family}: ${told.join(', ')}${rest}${why}`,
  );
  return row;
}

const number = (verdict: Row['verdict']) => rows.filter((row) => row.verdict === verdict).length;
if (values.json) {
  const { tier, hooks } = source.header;
  const result: Result = { release: release(), tier, hooks, verified, rows };
  console.log(JSON.stringify(result));
}
console.log(`${number('passed')} passed, ${number('failed')} failed, ${number('skipped')} skipped`);
process.exit(number('failed') === 0 ? 0 : 1);

/** A kernel loads them with the first rule or device: too late for our hooks, and for the names of functions. */
function loadModules(): void {
  try {
    run('modprobe', ['-aq', 'nf_reject_ipv4', 'nf_reject_ipv6', 'bridge', 'vxlan', 'macvtap']);
  } catch {
    // Built in, or not there: the plan tells.
  }
}
