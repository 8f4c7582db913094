// SPDX-License-Identifier: Apache-2.0

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseTarget } from '../../src/app/parse.ts';
import { heldBy } from '../../src/fleet/held.ts';
import { isWanted, type Wanted } from '../../src/fleet/wanted.ts';
import { EVERYTHING } from '../../src/source/filter.ts';
import { ROOT } from '../kernel/tcpwhy.ts';
import { CHDB, ClickHouse, insert, lacks, VICTORIA_LOGS } from './engines.ts';
import { type Row, recorded } from './rows.ts';
import { VictoriaLogs } from './victoria-logs.ts';

const FOLDER = join(ROOT, 'test/recordings');
const ALL: Wanted = { filter: EVERYTHING, causes: null };
/** What was told of each finding last. */
const NOW_NS = Date.now() * 1e6;

/** Each group of targets has to be met by one connection. */
const wanted = (...groups: string[][]): Wanted => ({
  ...ALL,
  filter: { groups: groups.map((targets) => targets.map(parseTarget)), netns: null },
});

describe('what is asked for is looked for by the engine, before it counts how many there are', () => {
  let rows: Row[] = [];

  beforeAll(async () => {
    const names = readdirSync(FOLDER).filter((name) => name.endsWith('.tcpwhy.zst'));
    const files = names.map((name, at) => ({ host: `host-${at}`, path: join(FOLDER, name) }));
    const told = (await recorded(files)).rows;
    // Engines keep what is old for some days only.
    rows = told.map((row, at) => ({ ...row, time_ns: NOW_NS - 60e9 - 1e6 * at }));
  });

  async function check(url: string) {
    const ask = async (one: Wanted, most?: number) => {
      const since_ns = NOW_NS - 3600e9;
      const { signal } = new AbortController();
      const held = await heldBy(new URL(url), since_ns, NOW_NS, one, {}, signal, most);
      const ids = held?.told.map(({ finding }) => finding.id).sort();
      const grown = new Set(held?.growth.map(({ id }) => id));
      return { told: held?.told ?? [], ids, grown, incomplete: held?.incomplete };
    };
    const all = (await ask(ALL)).told;
    expect(all).toHaveLength(rows.length);

    const flows = all.map(({ finding }) => finding.flow);
    const v6 = flows.find(({ saddr }) => saddr.startsWith('2001:db8:'));
    const [some] = flows.filter(({ saddr, dport }) => saddr.startsWith('10.') && dport > 0);
    const named = all.flatMap(({ keys }) => keys).find((key) => /^10\..* 10\./.test(key));
    expect([v6, some, named]).not.toContain(undefined);
    const [one = '', other = ''] = named?.split(' ') ?? [];
    const causes = [...new Set(all.map(({ finding }) => finding.cause))];
    const asked: Wanted[] = [
      wanted([`${some?.dport}`]),
      wanted([`${some?.saddr}`]),
      wanted([`${some?.saddr}:${some?.dport}`]),
      wanted(['10.0.0.0/8'], [`${some?.dport}`]),
      wanted(['172.16.0.0/12', '127.0.0.0/8'], ['0.0.0.0/0']),
      wanted([`${v6?.saddr}`, `[${v6?.daddr}]:${v6?.dport}`]),
      wanted(['2001:db8::/33']),
      wanted(['[2001:db8::/32]:3306', 'fe80::/10']),
      wanted(['::1', '127.0.0.1']),
      wanted([one], [other]),
      wanted([one.replace(/:\d+$/, ':1')]),
      wanted(['203.0.113.7']),
      { ...ALL, filter: { groups: [], netns: some?.netns ?? 0 } },
      { filter: { ...wanted(['10.0.0.0/8']).filter, netns: 1 }, causes: null },
      { ...ALL, causes: new Set(causes.slice(0, 3)) },
      { ...wanted(['10.0.0.0/8']), causes: new Set(causes.slice(0, 20)) },
    ];
    const found: number[] = [];
    for (const narrow of asked) {
      const expected = all.filter(isWanted(narrow)).map(({ finding }) => finding.id);
      const about = JSON.stringify([narrow.filter, [...(narrow.causes ?? [])]]);
      // One more than that is not asked for: whoever is not looked for has no room.
      const { ids, grown, incomplete } = await ask(narrow, Math.max(1, expected.length));
      expect(ids, about).toEqual(expected.sort());
      expect(grown, about).toEqual(new Set(expected));
      expect(incomplete, about).toBe(false);
      found.push(expected.length);
    }
    expect(found.filter((count) => count > 0 && count < all.length).length).toBeGreaterThan(10);

    // Whatever a text would do where it were a part of the query, it is the name of a cause, and none is called so.
    for (const hostile of [
      "' OR 1=1 --",
      "') OR (1=1",
      '") or *',
      '") | delete *',
      '\\") or *',
      "\\') OR 1=1 --",
      '{since:Int64}',
      '`\n| limit 1',
    ]) {
      const { told, incomplete } = await ask({ ...ALL, causes: new Set([hostile]) }, 1);
      expect(told, hostile).toEqual([]);
      expect(incomplete, hostile).toBe(false);
    }
  }

  it('by VictoriaLogs', async ({ skip }) => {
    const lacking = lacks(VICTORIA_LOGS);
    skip(lacking !== null, lacking ?? '');
    await using logs = await VictoriaLogs.start();
    await logs.insert(rows);
    await check(`${logs.address}/select/logsql/query`);
  });

  it('by ClickHouse', async ({ skip }) => {
    const lacking = lacks(CHDB);
    skip(lacking !== null, lacking ?? '');
    await using server = await ClickHouse.start();
    await server.query(insert(rows).sql);
    await check(server.url);
  });
});
