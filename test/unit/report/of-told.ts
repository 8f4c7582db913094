// SPDX-License-Identifier: Apache-2.0

import type { Finding } from '../../../src/diagnose/finding.ts';
import { reportOfTold, type Told } from '../../../src/report/told.ts';
import { FINDING, KEY } from '../agent/records.ts';

const NOW_NS = FINDING.last_ns + 600e9;

/** What a host told. */
export function told(host_id: string, finding: Partial<Finding> = {}): Told {
  const own = { ...FINDING, id: `${host_id} ${finding.cause ?? ''}`, ...finding };
  return { host_id, host: host_id, version: '0.1.0', finding: own, keys: [KEY] };
}
/** A report of that. */
export const reported = (
  all: Told[],
  growth: Parameters<typeof reportOfTold>[1] = [],
  incomplete = false,
) =>
  reportOfTold(all, growth, {
    ...{ version: '0.1.0', from: 'http://logs:8123/', incomplete },
    ...{ since_ns: NOW_NS - 3600e9, now_ns: NOW_NS },
  });

/** Of more hosts than are named, with more than was read. */
export const ofManyHosts = () =>
  reported(
    Array.from({ length: 150 }, (_, at) => told(`host-${at}`, { count: at + 1 })),
    [],
    true,
  );
