// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { awaitReset, connect, lingerZero, listen } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { until } from '../../src/lab/until.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import type { Session } from '../../src/native/binding.ts';
import { attach } from '../../src/source/attach.ts';
import { readKeyTotals } from '../../src/source/totals.ts';
import { EVENT_KINDS } from '../../src/wire/kinds.gen.ts';

const TIMES = 7;
/** More than begin a key in a second. */
const PORTS = 6000;
const FIRST_PORT = 1024;
const LAST_PORT = FIRST_PORT + PORTS - 1;

function refuse(lab: Lab, port: number, times: number): void {
  using socket = lab.socket(lab.client, { family: 4 });
  for (let time = 0; time < times; time++) {
    until(
      'a connect to be refused',
      () => socket.connect(HOSTS[4].server, port).error === 'ECONNREFUSED',
    );
  }
}

const resets = (session: Session, whole: boolean) => {
  const { keys, kinds } = readKeyTotals(session, whole);
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
    let made = 0;
    const more = (port: number, times: number) => {
      refuse(lab, port, times);
      made += times;
    };
    const check = () => {
      const read = resets(session, false);
      expect(read.sent).toBe(made);
      expect(read).toEqual(resets(session, true));
    };
    check();
    for (const port of [1001, 1002, 1002, 1001]) {
      more(port, TIMES);
      check();
    }
    const few = session.totals(false);
    expect(few.places).toBeLessThan(100);
    expect(few.rows.length).toBeGreaterThan(0);
    for (let port = FIRST_PORT; port <= LAST_PORT; port++) more(port, 1);
    check();
    expect(session.readMap('more_totals').length).toBeGreaterThan(0);
    for (let port = FIRST_PORT; port <= LAST_PORT; port++) more(port, 1);
    check();
    expect(session.totals(false).places).toBeGreaterThan(1000);
  } finally {
    session.close();
  }
});

const RESETS = 40;
/** One below the ports of the clients, one above. */
const [LOW, HIGH] = [8080, 65_001];

it.each([
  ['client', 4, LOW],
  ['server', 4, LOW],
  ['client', 6, HIGH],
  ['server', 6, HIGH],
  ['client', 4, HIGH],
  ['server', 4, HIGH],
] as const)(
  'counts together what one %s does to the users of one service (IPv%i, port %i)',
  (who, family, port) => {
    using lab = Lab.open();
    const filter = { groups: [[{ net: null, port }]], netns: null };
    const { session } = attach({ filter, records_per_s: 1, tier: 'hooks' });
    try {
      const pairs = connect(lab, { times: RESETS, family }, port);
      const other = who === 'client' ? 'server' : 'client';
      for (const pair of pairs) {
        lingerZero(pair[who]);
        pair[who].close();
      }
      awaitReset(
        pairs.map((pair) => pair[other]),
        'ECONNRESET',
      );
      const { keys, kinds } = readKeyTotals(session, true);
      const of = (wanted: number) =>
        kinds.filter(({ kind }) => kind === wanted).map(({ count }) => count);
      expect(of(EVENT_KINDS.reset_sent)).toEqual([RESETS]);
      expect(of(EVENT_KINDS.reset_received)).toEqual([RESETS]);
      // What was sent and what was received, which tells of the state too; the listener came and went.
      const counts = keys.map(({ count }) => count).sort((a, b) => b - a);
      expect(counts).toEqual([RESETS, RESETS, 1, 1]);
    } finally {
      session.close();
    }
  },
);

it.each([4, 6] as const)('counts together the listeners of one address (IPv%i)', (family) => {
  using lab = Lab.open();
  const filter = { groups: [], netns: lab.server.inode };
  const { session } = attach({ filter, records_per_s: 1, tier: 'hooks' });
  try {
    for (let port = HIGH; port < HIGH + TIMES; port++) listen(lab, family, port, 1).close();
    const { keys } = readKeyTotals(session, true);
    expect(keys.map(({ count }) => count)).toEqual([TIMES, TIMES]);
  } finally {
    session.close();
  }
});
