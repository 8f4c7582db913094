// SPDX-License-Identifier: Apache-2.0

import { type Beside, logRecordOf } from '../../../src/agent/log-record.ts';
import { Resources } from '../../../src/agent/resource.ts';
import type { Finding } from '../../../src/diagnose/finding.ts';

export const HOST_ID = 'abc';
export const RESOURCES = new Resources('web1', {}, HOST_ID);

export const KEY = '10.0.0.1:4000 10.0.0.2:80';

export const FINDING: Finding = {
  id: 'no-listener 10.0.0.2:80',
  cause: 'no-listener',
  because: null,
  severity: 'warning',
  basis: 'direct',
  title: 'nothing listens there',
  summary: '10.0.0.1 dialled 10.0.0.2:80',
  subject: 'listener',
  where: '10.0.0.2:80',
  flow: { family: 4, saddr: '10.0.0.1', sport: 4000, daddr: '10.0.0.2', dport: 80, netns: 7 },
  process: null,
  count: 3,
  first_ns: 1.5e18,
  last_ns: 1.5e18 + 1e9,
  evidence: { from: '10.0.0.1', ports: [80], asked: true, unknown: null },
  advice: ['start it'],
  events: [1, 2, 3],
};

export function record(finding: Partial<Finding> = {}, beside: Partial<Beside> = {}) {
  const all = { ...FINDING, ...finding };
  const known = { sides: null, keys: [KEY, 'isn 17'], time_ns: all.last_ns, ...beside };
  return logRecordOf(all, known, { run: '5', part: 1 }, RESOURCES, 1.6e18);
}
