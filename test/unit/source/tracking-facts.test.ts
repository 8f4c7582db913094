// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { TrackingFacts } from '../../../src/source/tracking-facts.ts';
import { AT, BODY, WRITTEN } from '../../../src/wire/written.gen.ts';

const layout = WRITTEN[19];
const [NEW, CONFIRMED] = [2, 1 << 3];

/** At which hook rules are asked where they send a connection, of which a segment was dropped that came in by this device. */
function askedAt(ifindex: number): string[] {
  const w = new Int32Array(layout.words);
  const entry = BODY + AT.Drop.conntrack;
  w[entry + AT.Conntrack.info] = NEW;
  w[entry + AT.Conntrack.status] = CONFIRMED;
  w[BODY + AT.Drop.packet + AT.Packet.ifindex] = ifindex;
  const hooks: string[] = [];
  new TrackingFacts({
    natRules: () => (hook) => {
      hooks.push(hook);
      return [];
    },
    tableUsers: () => null,
    limits: () => null,
  }).of(w, 0, layout);
  return hooks;
}

test('what a host sends to itself was translated as it went out', () => {
  expect(askedAt(0)).toEqual(['output']);
  expect(askedAt(1)).toEqual(['output']);
  expect(askedAt(2)).toEqual(['prerouting']);
});
