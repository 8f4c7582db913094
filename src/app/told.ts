// SPDX-License-Identifier: Apache-2.0

import { SettingError } from '../agent/endpoint.ts';
import { heldBy } from '../fleet/held.ts';
import { EngineError } from '../fleet/http.ts';
import type { Report } from '../report/model.ts';
import { reportOfTold } from '../report/told.ts';
import type { Filter } from '../source/filter.ts';
import { VERSION } from '../version.ts';
import { causesCalled } from './run.ts';
import { UsageError } from './usage.ts';

/** What agents told an engine of; null where it was interrupted. Throws UsageError. */
export async function toldPostMortem(
  url: URL,
  since_ms: number,
  filter: Filter,
  called: readonly string[],
  interrupted: AbortSignal,
): Promise<Report | null> {
  const wanted = { filter, causes: causesCalled(called) };
  const now_ns = Date.now() * 1e6;
  const since_ns = now_ns - since_ms * 1e6;
  try {
    const held = await heldBy(url, since_ns, now_ns, wanted, process.env, interrupted);
    if (!held) return null;
    const { told, growth, incomplete, from } = held;
    if (incomplete)
      process.stderr.write(
        `tcpwhy: ${url.host} has more findings than are read: the weightiest are; ask for less with --since\n`,
      );
    return reportOfTold(told, growth, { version: VERSION, from, since_ns, now_ns, incomplete });
  } catch (error) {
    if (error instanceof EngineError || error instanceof SettingError)
      throw new UsageError(error.message);
    throw error;
  }
}
