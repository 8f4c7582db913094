// SPDX-License-Identifier: Apache-2.0

import { describe, expect, it } from 'vitest';
import { isAbout, lacks, sums, TIMES, withoutBeside } from '../../src/lab/conformance.ts';
import { Lab } from '../../src/lab/lab.ts';
import type { Made } from '../../src/lab/scenario.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { type Finding, Running } from './tcpwhy.ts';

const cases = SCENARIOS.flatMap((scenario) =>
  scenario.families.map((family) => ({ scenario, family, id: scenario.id })),
);

describe('each failure is named, as often as it happened, and nothing else', () => {
  it.for(cases)('$id, IPv$family', async ({ scenario, family }, { skip }) => {
    const { cause, beside = [] } = scenario;
    const lacking = lacks(scenario);
    skip(lacking !== null, lacking ?? '');
    await using tcpwhy = await Running.start();
    using lab = Lab.open();
    const options = { times: TIMES, family };
    scenario.prepare?.(lab, options);
    const made = scenario.run(lab, options);
    await tcpwhy.until((output) => output.count(cause) >= TIMES, 3000);
    const output = await tcpwhy.stop();

    const here = output.findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
    expect(withoutBeside(scenario, sums(here))).toEqual({ [cause]: TIMES });
    const explained = output.findings.filter((finding) => finding.cause !== 'unexplained');
    expect(output.summary.findings).toEqual(sums(explained));
    expect(output.summary.lost).toBe(0);
    expect(output.status).toBe(here.every(({ severity }) => severity === 'info') ? 0 : 1);
    const told = here.filter((finding) => !beside.includes(finding.cause));
    for (const finding of told) expectAbout(finding, made);
    const owner = scenario.ownerless
      ? null
      : expect.objectContaining({ pid: process.pid, container: null });
    expect(told[0]?.process).toEqual(owner);
  });
});

function expectAbout(
  { cause, flow, events, summary, advice, evidence }: Finding,
  made: Made,
): void {
  expect(flow).toSatisfy((one: typeof flow) => isAbout(one, made));
  expect(events).toHaveLength(TIMES);
  expect([flow.saddr, flow.daddr].some((address) => summary.includes(address))).toBe(true);
  expect(advice.length).toBeGreaterThan(0);
  if (cause === 'peer-rewritten')
    expect(evidence.rewriter).toMatch(/^BPF program getpeername[46] /);
  expect(JSON.stringify([summary, advice, evidence])).not.toMatch(/undefined|NaN|\[object/);
}
