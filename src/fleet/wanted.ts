// SPDX-License-Identifier: Apache-2.0

import type { Told } from '../report/told.ts';
import { type Filter, matcher, type Target } from '../source/filter.ts';
import { addressText, parseAddress } from '../tcp/address.ts';
import { parsePort, splitEndpoint } from '../tcp/endpoint.ts';
import { prefixOf } from '../tcp/network.ts';
import type { Flow } from '../wire/types.gen.ts';

/** Which findings are asked for: by their connections, and by cause; null: of any. */
export interface Wanted {
  filter: Filter;
  causes: ReadonlySet<string> | null;
}

/** By the newest connection of a finding, and those that it names beside it. */
export function isWanted({ filter, causes }: Wanted): (told: Told) => boolean {
  const matches = matcher(filter);
  const any = filter.groups.length === 0 && filter.netns === null;
  return ({ finding: { cause, flow }, keys }) => {
    if (causes && !causes.has(cause)) return false;
    const flows = [flow, ...keys.flatMap(flowIn)];
    return any || flows.some((one) => hasEnds(one) && matches(flow.netns, one as Flow));
  };
}

type Ends = Pick<Flow, 'saddr' | 'sport' | 'daddr' | 'dport'>;

const hasEnds = ({ saddr, daddr }: Ends) => [saddr, daddr].every((end) => parseAddress(end));

/** Of `10.0.0.1:80 10.0.0.2:40000`. */
function flowIn(key: string): Ends[] {
  const [one, other, ...more] = key.split(' ').map(splitEndpoint);
  if (!one || !other || more.length > 0) return [];
  const port = (text: string | null) => parsePort(text ?? '') ?? 0;
  return [{ saddr: one.host, sport: port(one.port), daddr: other.host, dport: port(other.port) }];
}

/** The first and the last address of a target; of both families those that are IPv4 are written so. */
export function rangeOf({ net }: Target): { low: string; high: string } | null {
  if (!net) return null;
  const { address, mask } = prefixOf(net);
  const last = address.map((byte, i) => byte | (~(mask[i] ?? 0) & 0xff));
  return { low: addressText(address), high: addressText(last) };
}
