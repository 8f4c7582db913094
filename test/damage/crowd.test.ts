// SPDX-License-Identifier: Apache-2.0

import { expect, test, vi } from 'vitest';
import { CAUSES } from '../../src/causes/registry.gen.ts';
import { Pipeline } from '../../src/diagnose/pipeline.ts';
import { Draft } from '../../src/report/build.ts';
import { HostCollection } from '../../src/report/collect.ts';
import { SteadyClock } from '../../src/report/steady.ts';
import { WatchReader } from '../../src/report/watch.ts';
import { decodeHeader } from '../../src/wire/decode.ts';
import { FrameReader } from '../../src/wire/frames.ts';
import { CROWDS, crowd } from '../../tools/torture/crowd.ts';

vi.setConfig({ testTimeout: 120_000 });

const COUNT = 24_000;
/** Of one cause, and the one that tells of all others. */
const MOST = 501;

function streamOf(kind: keyof typeof CROWDS, ticks: boolean) {
  const [head, ...parts] = crowd(kind, COUNT, ticks);
  const [header] = new FrameReader().push(head as Buffer);
  return { header: decodeHeader((header as { bytes: Uint8Array }).bytes), parts };
}

/** What comes of it, by cause: how many findings, and how often. */
function found(kind: keyof typeof CROWDS, ticks: boolean) {
  const { header, parts } = streamOf(kind, ticks);
  const pipeline = new Pipeline(header, CAUSES);
  for (const part of parts) pipeline.push(part);
  pipeline.finish();
  const causes = new Map<string, { findings: number; count: number }>();
  for (const { finding } of pipeline.engine.findings.values()) {
    const { findings = 0, count = 0 } = causes.get(finding.cause) ?? {};
    causes.set(finding.cause, { findings: findings + 1, count: count + finding.count });
  }
  return { causes, losses: pipeline.losses.rows().map(({ name }) => name) };
}

test.each([
  ['services', true],
  ['services', false],
  ['ports', true],
  ['clients', true],
  ['namespaces', true],
  ['causes', true],
  ['causes', false],
] as const)('a crowd of %s is counted exactly, with few findings (ticks: %s)', (kind, ticks) => {
  const { causes, losses } = found(kind, ticks);
  const expected = CROWDS[kind].of.map(([cause]) => cause).sort();
  expect([...causes.keys()].sort()).toEqual(expected);
  for (const { findings, count } of causes.values()) {
    expect(count).toBe(COUNT / expected.length);
    expect(findings).toBeLessThanOrEqual(MOST);
  }
  expect(losses.filter((name) => name !== 'findings_merged')).toEqual([]);
});

test.each(['services', 'ports', 'causes'] as const)(
  'of a crowd of %s a report looks a second time at what it draws alone',
  (kind) => {
    const { header, parts } = streamOf(kind, true);
    const host = new HostCollection(() => true);
    const pipeline = host.open('crowd', header, CAUSES, null);
    for (const part of parts) pipeline.push(part);
    host.finish(pipeline);
    const { watched } = new Draft([host]);
    const reader = new WatchReader(
      watched,
      header,
      0,
      new SteadyClock(),
      (time_ns) => time_ns,
      null,
    );
    for (const part of parts) reader.push(part);
    expect(watched.looked_at).toBeGreaterThan(0);
    expect(watched.looked_at).toBeLessThanOrEqual(COUNT / 100);
  },
);
