// SPDX-License-Identifier: Apache-2.0

import { expect, it, vi } from 'vitest';
import { awaitReset, connect, lingerZero } from '../../src/lab/connections.ts';
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
  const filter = { groups: [], netns: lab.server.inode };
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

const RESETS = 40;
const PORT = 8080;

it.each([
  ['client', 4],
  ['server', 4],
  ['client', 6],
  ['server', 6],
] as const)(
  'counts together what one %s does to the users of one service (IPv%i)',
  (who, family) => {
    using lab = Lab.open();
    const filter = { groups: [[{ net: null, port: PORT }]], netns: null };
    const { session } = attach({ filter, records_per_s: 1, tier: 'hooks' });
    try {
      const pairs = connect(lab, { times: RESETS, family }, PORT);
      const other = who === 'client' ? 'server' : 'client';
      for (const pair of pairs) {
        lingerZero(pair[who]);
        pair[who].close();
      }
      awaitReset(
        pairs.map((pair) => pair[other]),
        'ECONNRESET',
      );
      const { keys, kinds } = readKeyTotals(session, new TotalsMaps(session), true);
      const of = (wanted: number) =>
        kinds.filter(({ kind }) => kind === wanted).map(({ count }) => count);
      expect(of(EVENT_KINDS.reset_sent)).toEqual([RESETS]);
      expect(of(EVENT_KINDS.reset_received)).toEqual([RESETS]);
      // What was sent, what was received and the state that came of it; the listener came and went.
      const counts = keys.map(({ count }) => count).sort((a, b) => b - a);
      expect(counts).toEqual([RESETS, RESETS, RESETS, 1, 1]);
    } finally {
      session.close();
    }
  },
);
