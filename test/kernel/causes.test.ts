// SPDX-License-Identifier: Apache-2.0

import { beforeAll, describe, expect, it } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import type { Made } from '../../src/lab/scenario.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { compileRewriter } from './rewriter.ts';
import { type Finding, Running } from './tcpwhy.ts';

const TIMES = 7;
/** What is no failure by itself: exit status 0. */
const INFO = new Set(['syn-cookies', 'peer-rewritten']);
/** Shown beside a failure that they explain. */
const BESIDE: Record<string, string[]> = { 'peer-collision': ['peer-rewritten'] };
/** No socket has a part in these, or only one that no process has any more. */
const NO_OWNER = new Set([
  'no-listener',
  'connection-unknown',
  'netfilter-drop',
  'rp-filter',
  'data-after-close',
]);

let rewriter: string;
beforeAll(() => {
  rewriter = compileRewriter();
});

const cases = SCENARIOS.flatMap((scenario) =>
  scenario.families.map((family) => ({ scenario, family, id: scenario.id })),
);

describe('each failure is named, as often as it happened, and nothing else', () => {
  it.each(cases)('$id, IPv$family', async ({ scenario, family }) => {
    const { cause } = scenario;
    await using tcpwhy = await Running.start();
    using lab = Lab.open();
    const options = { times: TIMES, family, rewriter };
    scenario.prepare?.(lab, options);
    const made = scenario.run(lab, options);
    await tcpwhy.until((output) => output.count(cause) >= TIMES, 3000);
    const output = await tcpwhy.stop();

    const here = output.findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
    const told = here.filter((finding) => !BESIDE[cause]?.includes(finding.cause));
    expect(counts(told)).toEqual({ [cause]: TIMES });
    const explained = output.findings.filter((finding) => finding.cause !== 'unexplained');
    expect(output.summary.findings).toEqual(counts(explained));
    expect(output.summary.lost).toBe(0);
    expect(output.status).toBe(INFO.has(cause) ? 0 : 1);
    for (const finding of told) expectAbout(finding, made);
    const owner = NO_OWNER.has(scenario.id)
      ? null
      : expect.objectContaining({ pid: process.pid, container: null });
    expect(told[0]?.process).toEqual(owner);
  });
});

function counts(findings: Finding[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { cause, count } of findings) sums[cause] = (sums[cause] ?? 0) + count;
  return sums;
}

/** The flow is between the ends that were used, in either direction, and seen where it happened. */
function expectAbout(
  { cause, flow, events, summary, advice, evidence }: Finding,
  { server, clients, netns }: Made,
): void {
  const { saddr, sport, daddr, dport } = flow;
  const ends = [
    { address: saddr, port: sport },
    { address: daddr, port: dport },
  ];
  expect(ends).toContainEqual(server);
  const [client] = ends.filter(
    ({ address, port }) => address !== server.address || port !== server.port,
  );
  expect(clients).toContainEqual(client);
  expect(flow).toMatchObject({ netns, family: server.address.includes(':') ? 6 : 4 });
  expect(events).toHaveLength(TIMES);
  expect(ends.some(({ address }) => summary.includes(address))).toBe(true);
  expect(advice.length).toBeGreaterThan(0);
  if (cause === 'peer-rewritten')
    expect(evidence.rewriter).toMatch(/^BPF program getpeername[46] /);
  expect(JSON.stringify([summary, advice, evidence])).not.toMatch(/undefined|NaN|\[object/);
}
