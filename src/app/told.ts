// SPDX-License-Identifier: Apache-2.0

import { SettingError } from '../agent/endpoint.ts';
import { heldBy } from '../fleet/held.ts';
import { EngineError } from '../fleet/http.ts';
import type { Report } from '../report/model.ts';
import { reportOfTold, type Told } from '../report/told.ts';
import { type Filter, matcher } from '../source/filter.ts';
import { parseAddress } from '../tcp/address.ts';
import { parsePort, splitEndpoint } from '../tcp/endpoint.ts';
import { VERSION } from '../version.ts';
import type { Flow } from '../wire/types.gen.ts';
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
  const causes = causesCalled(called);
  const asked = askedFor(filter);
  const wanted = (told: Told) => (causes?.has(told.finding.cause) ?? true) && asked(told);
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

/** By its newest connection, and those that it names beside it. */
function askedFor(filter: Filter): (told: Told) => boolean {
  const matches = matcher(filter);
  if (filter.groups.length === 0 && filter.netns === null) return () => true;
  return ({ finding: { flow }, keys }) => {
    const flows = [flow, ...keys.flatMap(flowIn)];
    return flows.some(
      (one) =>
        parseAddress(one.saddr) !== null &&
        parseAddress(one.daddr) !== null &&
        matches(flow.netns, one as Flow),
    );
  };
}

/** Of `10.0.0.1:80 10.0.0.2:40000`. */
function flowIn(key: string): Pick<Flow, 'saddr' | 'sport' | 'daddr' | 'dport'>[] {
  const [one, other, ...more] = key.split(' ').map(splitEndpoint);
  if (!one || !other || more.length > 0) return [];
  const port = (text: string | null) => parsePort(text ?? '') ?? 0;
  return [{ saddr: one.host, sport: port(one.port), daddr: other.host, dport: port(other.port) }];
}
