// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { byPeer, byService } from '../../../src/causes/shared/groups.ts';
import { perFlow } from '../../../src/known/per-flow.ts';
import { reversed, servedAtSource, service } from '../../../src/tcp/service.ts';

const NOT_TOLD = 0;
const SADDR = 1;
const DADDR = 2;
/** The lower port is at saddr. */
const flow = { saddr: '10.0.0.1', sport: 40_000, daddr: '10.0.0.2', dport: 50_051 };

describe.each([
  ['as told, though its port is the higher one', DADDR, '10.0.0.2:50051'],
  ['as told, where it is saddr', SADDR, '10.0.0.1:40000'],
  ['the lower port, where that is not told', NOT_TOLD, '10.0.0.1:40000'],
] as const)('the service is %s', (_, told, where) => {
  const seen = { ...flow, service: told };

  test('from either end', () => {
    expect(service(seen)).toBe(where);
    expect(service(reversed(seen))).toBe(where);
    expect(servedAtSource(reversed(seen))).toBe(!servedAtSource(seen));
    expect(reversed(reversed(seen))).toEqual(seen);
  });

  test('in what is put together', () => {
    const here = where.replace(':', ' ');
    expect(byService(7, seen)).toMatch(new RegExp(`^7 (at|to) ${here}$`));
    expect(byPeer(7, seen)).toBe(
      servedAtSource(seen) ? `7 at ${here} from ${flow.daddr}` : `7 to ${here}`,
    );
  });
});

test('what is remembered of a flow is of that service', () => {
  const remembered = perFlow(service);
  for (const told of [DADDR, SADDR, DADDR]) {
    const seen = { ...flow, service: told };
    expect(remembered(seen)).toBe(service(seen));
  }
});
