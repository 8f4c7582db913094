// SPDX-License-Identifier: Apache-2.0
//
// Runs every cause's fixtures through the whole pipeline. After a change that is meant:
// UPDATE_EXPECTED=1 npx vitest run test/unit/causes, then read the difference.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CAUSES } from '../../../src/causes/registry.gen.ts';
import type { Finding } from '../../../src/diagnose/finding.ts';
import { endpoint } from '../../../src/tcp/endpoint.ts';
import { explain, FOLDER, fixtureNames, readFixture, streamOf } from './fixture.ts';

/** Not worth waking anyone: they may stand beside the failure itself. */
const REST = new Set(['benign', 'unexplained']);

describe.each(CAUSES.map(({ id }) => id))('%s', (id) => {
  test.each(fixtureNames(id, 'fires'))('%s: it is the cause', (name) => {
    const findings = found(id, name);
    expect(findings.map(({ cause }) => cause)).toContain(id);
    expectAsRecorded(id, name, findings);
  });

  test.each(fixtureNames(id, 'fires'))('%s: each failure has one cause', (name) => {
    const findings = found(id, name);
    const brought_about_by = findings.flatMap(({ evidence }) => evidence.upstream_cause ?? []);
    const why = new Set(findings.map(({ because }) => because?.cause));
    const may_have = findings.flatMap(({ evidence }) => evidence.upstream_one_of ?? []).join();
    const others = findings.filter(
      ({ cause, flow }) =>
        cause !== id &&
        !REST.has(cause) &&
        !brought_about_by.includes(cause) &&
        !why.has(cause) &&
        !may_have.includes(`${endpoint(flow.saddr, flow.sport)} `) &&
        !may_have.includes(`${endpoint(flow.daddr, flow.dport)} `),
    );
    expect(others.filter(({ severity }) => severity !== 'info')).toEqual([]);
  });

  test.each(fixtureNames(id, 'quiet'))('%s: it is not the cause', (name) => {
    const findings = found(id, name);
    expect(findings.map(({ cause }) => cause)).not.toContain(id);
    expectAsRecorded(id, name, findings);
  });
});

function found(id: string, name: string): Finding[] {
  const { header, events } = readFixture(id, name);
  return explain(header, streamOf(events));
}

function expectAsRecorded(id: string, name: string, findings: Finding[]): void {
  const file = join(FOLDER, id, `${name}.expected.json`);
  const timeless = findings.map(
    ({
      cause,
      because,
      severity,
      basis,
      subject,
      count,
      summary,
      flow,
      process,
      evidence,
      advice,
    }) => ({
      cause,
      ...(because && { because }),
      severity,
      basis,
      subject,
      count,
      summary,
      flow,
      process,
      evidence,
      advice,
    }),
  );
  let expected = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null;
  // What is the same stays as `make fmt` left it.
  if (process.env.UPDATE_EXPECTED && JSON.stringify(expected) !== JSON.stringify(timeless)) {
    writeFileSync(file, `${JSON.stringify(timeless, null, 2)}\n`);
    expected = JSON.parse(readFileSync(file, 'utf8'));
  }
  expect(timeless).toEqual(expected);
}
