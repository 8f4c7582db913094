// SPDX-License-Identifier: Apache-2.0

import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  type Case,
  elsewhereThan,
  has,
  isAbout,
  lacks,
  sums,
  TIMES,
  withoutBeside,
} from '../../../src/lab/conformance.ts';
import type { Lab } from '../../../src/lab/lab.ts';
import type { Made, Scenario } from '../../../src/lab/scenario.ts';
import type { Finding } from '../tcpwhy.ts';
import { Watched } from '../watched.ts';

/** Each of them is named, as often as it happened, and nothing else; `status` is what tcpwhy ends with then. */
export function areNamed(cases: readonly Case[], status: number): void {
  let watched: Watched;
  const done: { scenario: Scenario; lab: Lab }[] = [];
  beforeAll(async () => {
    watched = await Watched.start();
  });
  afterAll(() => watched[Symbol.asyncDispose]());

  it.for(cases.map((one) => ({ ...one, id: one.scenario.id })))('$id, IPv$family', isNamed);

  it('of all of them together', async () => {
    const output = await watched.stop();
    for (const { scenario, lab } of done) expectExactly(scenario, watched.told(lab), lab);
    const explained = output.findings.filter((finding) => finding.cause !== 'unexplained');
    expect(output.summary.findings).toEqual(sums(explained));
    expect(output.summary.lost).toBe(0);
    expect(output.status).toBe(status);
  });

  async function isNamed(
    { scenario, family }: Case,
    { skip }: { skip(condition: boolean, note: string): void },
  ): Promise<void> {
    const lacking = lacks(scenario, family);
    skip(lacking !== null, lacking ?? '');
    const { cause, beside = [] } = scenario;
    const lab = watched.lab();
    const options = { times: TIMES, family };
    scenario.prepare?.(lab, options);
    const made = scenario.run(lab, options);
    const here = await watched.findings(lab, cause, TIMES);

    expectExactly(scenario, here, lab);
    done.push({ scenario, lab });
    expect(here.every(({ severity }) => severity === 'info')).toBe(status === 0);
    const told = here.filter((finding) => !beside.includes(finding.cause));
    for (const finding of told) expectAbout(finding, made);
    // Who waits for long is told of again.
    for (const { events } of told)
      expect(events.length).toSatisfy((some: number) =>
        scenario.looked_for ? some % TIMES === 0 : some === TIMES,
      );
    expect(elsewhereThan(made, told)).toBe(null);
    for (const { evidence } of told.filter((finding) => finding.cause === cause))
      expect(evidence).toSatisfy((one: typeof evidence) =>
        has(one, scenario.says?.(options) ?? {}),
      );
    const owner = scenario.ownerless
      ? null
      : expect.objectContaining({
          ...(scenario.process ? { comm: scenario.process } : { pid: process.pid }),
          container: null,
        });
    expect(told[0]?.process).toEqual(owner);
  }
}

function expectExactly(scenario: Scenario, here: Finding[], lab: Lab): void {
  const named = withoutBeside(scenario, sums(here));
  const made = { [scenario.cause]: TIMES };
  expect(named, isDeepStrictEqual(named, made) ? '' : inWords(here, lab)).toEqual(made);
}

/** What was told, and what the server's kernel counted: for who reads of a failure that comes seldom. */
function inWords(here: readonly Finding[], lab: Lab): string {
  const told = here.map(({ cause, count, summary, evidence }) =>
    [cause, count, summary, JSON.stringify(evidence)].join(' '),
  );
  const counted = lab.server.exec('nstat', ['-as']).trim().split(/\n/).slice(1);
  return [...told, ...counted.map((line) => line.split(/\s+/, 2).join(' '))].join('\n');
}

function expectAbout({ cause, flow, summary, advice, evidence }: Finding, made: Made): void {
  expect(flow).toSatisfy((one: typeof flow) => isAbout(one, made));
  expect([flow.saddr, flow.daddr].some((address) => summary.includes(address))).toBe(true);
  expect(advice.length).toBeGreaterThan(0);
  if (cause === 'peer-rewritten')
    expect(evidence.rewriter).toMatch(/^BPF program getpeername[46] /);
  expect(JSON.stringify([summary, advice, evidence])).not.toMatch(/undefined|NaN|\[object/);
}
