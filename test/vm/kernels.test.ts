// SPDX-License-Identifier: Apache-2.0
//
// One scenario of each cause on a few kernels, in virtual machines, or on those that KERNELS names, and one at
// all where the verifier allows less than on these; what they print is in build/vm/brief. All of it is for
// make vm-test, which writes docs/kernels.md too. After a change of the programs that is meant:
// tools/vm/verified.ts --update of these logs.

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { briefly } from '../../src/lab/conformance.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { resultIn } from '../../tools/vm/result.ts';
import { readBaseline, seriesOf, worse } from '../../tools/vm/verified.ts';
import { ROOT, run, VM, whyNot } from './machine.ts';

const LOGS = join(ROOT, 'build/vm/brief');
const LIMIT_S = 900;

const FEW = execFileSync('bash', ['-c', '. "$0/common"; echo "$FEW_KERNELS"', VM], {
  encoding: 'utf8',
});
/** Before 6.10 a verifier rounds the stack of each call up to 32 bytes. */
const LOADED = ['6.1'];
const kernels = (process.env.KERNELS ?? FEW).trim().split(/[ ,]/);
const baseline = readBaseline();
let lacking: string | null = null;

beforeAll(async () => {
  mkdirSync(LOGS, { recursive: true });
  if (process.arch !== 'x64') lacking = 'its kernel is of x86_64';
  else lacking = whyNot(await run('packages'));
});

it.concurrent.for(kernels)('Linux %s', async (tag, { skip }) => {
  const { said, status, result } = await made(tag, ['--brief'], skip);
  const { rows } = result;
  expect(rows.filter((row) => row.verdict !== 'passed' && !needs(row.why))).toEqual([]);
  expect(rows.map(({ cause }) => cause)).toEqual(
    briefly(SCENARIOS).map((one) => one.scenario.cause),
  );
  expect(status, said).toBe(0);
});

it.concurrent.for(LOADED.filter((tag) => !kernels.includes(tag)))(
  'Linux %s takes every program',
  async (tag, { skip }) => {
    const { said, status, result } = await made(tag, ['no-listener'], skip);
    expect(result.rows.map(({ verdict }) => verdict)).toEqual(['passed', 'passed']);
    expect(status, said).toBe(0);
  },
);

async function made(tag: string, scenarios: string[], skip: (when: boolean, why: string) => void) {
  skip(lacking !== null, lacking ?? '');
  const unfetched = whyNot(await run('fetch', tag));
  skip(unfetched !== null, unfetched ?? '');

  const conformance = ['node', 'tools/vm/conformance.ts', '--json', ...scenarios];
  const { status, printed, said } = await run(
    'run',
    '-k',
    tag,
    '-t',
    `${LIMIT_S}`,
    '--',
    ...conformance,
  );
  writeFileSync(join(LOGS, `${tag}.log`), printed + said);
  const result = resultIn(printed);
  if (!result) throw new Error(`status ${status}, and no result:\n${printed}\n${said}`);
  const { release, tier, verified } = result;
  expect(release).toMatch(new RegExp(`^${tag}\\.`));
  expect(tier).toBe('hooks');
  if (Object.keys(verified).length > 0)
    expect(worse(verified, baseline[seriesOf(release, tier)])).toEqual([]);
  return { status, said, result };
}

/** A program is not installed here: another kernel does not change that. */
function needs(why: string | null): boolean {
  return why?.startsWith('needs ') ?? false;
}
