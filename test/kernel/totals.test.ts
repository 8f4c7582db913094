// SPDX-License-Identifier: Apache-2.0

import { expect, it, vi } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import { until } from '../../src/lab/until.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import type { Session } from '../../src/native/binding.ts';
import { attach } from '../../src/source/attach.ts';
import { readKeyTotals, TotalsMaps } from '../../src/source/totals.ts';
import { EVENT_KINDS } from '../../src/wire/kinds.gen.ts';

const TIMES = 7;
/** More than have a place in the array. */
const PORTS = 6000;

function refuse(lab: Lab, port: number, times: number): void {
  using socket = lab.socket(lab.client, { family: 4 });
  for (let time = 0; time < times; time++) {
    until(
      'a connect to be refused',
      () => socket.connect(HOSTS[4].server, port).error === 'ECONNREFUSED',
    );
  }
}

const resets = (session: Session, maps: TotalsMaps, whole: boolean) => {
  const { keys, kinds } = readKeyTotals(session, maps, whole);
  const sent = kinds.filter(({ kind }) => kind === EVENT_KINDS.reset_sent);
  return {
    keys: keys.sort((a, b) => (a.key < b.key ? -1 : 1)),
    sent: sent.reduce((sum, { count }) => sum + count, 0),
  };
};

it('reads exact totals from the places in use, where these are few', () => {
  using lab = Lab.open();
  const filter = { port: null, host: null, netns: lab.server.inode };
  const { session } = attach({ filter, records_per_s: 1, tier: 'hooks' });
  try {
    const maps = new TotalsMaps(session);
    let made = 0;
    const more = (port: number, times: number) => {
      refuse(lab, port, times);
      made += times;
    };
    const check = () => {
      const read = resets(session, maps, false);
      expect(read.sent).toBe(made);
      expect(read).toEqual(resets(session, new TotalsMaps(session), true));
    };
    check();
    for (const port of [1, 2, 2, 1]) {
      more(port, TIMES);
      check();
    }
    const readMap = vi.spyOn(session, 'readMap');
    resets(session, maps, false);
    expect(readMap.mock.calls.flat()).not.toContain('totals');
    for (let port = 1; port <= PORTS; port++) more(port, 1);
    check();
    expect(session.readMap('more_totals').length).toBeGreaterThan(0);
    for (let port = 1; port <= PORTS; port++) more(port, 1);
    check();
    readMap.mockClear();
    resets(session, maps, false);
    // Of so many it is less to read both whole.
    expect(readMap.mock.calls.flat()).toEqual(expect.arrayContaining(['totals', 'more_totals']));
  } finally {
    session.close();
  }
});
