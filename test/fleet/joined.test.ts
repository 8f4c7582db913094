// SPDX-License-Identifier: Apache-2.0

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LogRecord } from '../../src/agent/otlp.ts';
import { rewriterLacks } from '../../src/lab/rewriter.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { TCPWHY } from '../kernel/tcpwhy.ts';
import { recordTwoHosts } from '../kernel/two-hosts.ts';
import { CHDB, ClickHouse, clickHouse, insert, lacks, shipped, VICTORIA_LOGS } from './engines.ts';
import { type Row, recorded } from './rows.ts';
import { VictoriaLogs } from './victoria-logs.ts';

/** Two connections with one peer; an answer from elsewhere; a proxy whose upstream fails; two by timestamps. */
const FIVE = [
  ...(rewriterLacks() === null ? ['peer-collision'] : []),
  'synack-wrong-source',
  'proxy-upstream-failed',
  'timewait-paws',
  'paws-established',
];
/** One that is translated between its ends, and one that both ends tell of. */
const MORE = ['proxy-upstream-failed/redirected', 'no-listener'];

describe('the five failures, as both of their hosts recorded them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-fleet-'));
  let rows: Row[] = [];
  let joined: string[] = [];
  let records: LogRecord[] = [];
  let files: string[] = [];

  beforeAll(async () => {
    const scenarios = SCENARIOS.filter(({ id }) => [...FIVE, ...MORE].includes(id));
    const { client, server } = await recordTwoHosts(scenarios, 3, folder, {
      client: {},
      server: {},
    });
    files = [client, server];
    ({ rows, joined, records } = await recorded([
      { host: 'client-7', path: client },
      { host: 'db-3', path: server },
    ]));
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  const called = (cause: string, host: string) => {
    const found = rows.filter(
      ({ attributes, resource }) =>
        attributes['tcpwhy.cause'] === cause && resource['host.name'] === host,
    );
    expect(found, `${cause} of ${host}`).not.toEqual([]);
    return found;
  };
  const idOf = ({ attributes }: Row) => attributes['tcpwhy.finding.id'] ?? '';

  it('are all there, and the report joins them, translated ones too', () => {
    const causes = rows.map(({ attributes }) => attributes['tcpwhy.cause']);
    expect(causes).toEqual(expect.arrayContaining(FIVE));
    for (const [one, other] of [
      ['synack-wrong-source', 'request-reset'],
      ['reset-by-peer', 'proxy-upstream-failed'],
      ['connect-refused', 'no-listener'],
    ] as const)
      for (const row of called(one, 'client-7')) {
        const others = called(other, 'db-3').map((there) => `${idOf(row)} = ${idOf(there)}`);
        expect(others.some((pair) => joined.includes(pair))).toBe(true);
      }
    const keys = rows.flatMap(({ attributes }) =>
      JSON.parse(attributes['tcpwhy.connection.ids'] ?? '[]'),
    );
    expect(keys).toEqual(expect.arrayContaining([expect.stringMatching(/^isn \d+$/)]));
  });

  describe.skipIf(lacks(CHDB))(`on the engine of ClickHouse (${lacks(CHDB) ?? 'chdb'})`, () => {
    const query = (file: string, parameters: Record<string, string> = {}) => ({
      ...{ sql: shipped('clickhouse', `${file}.sql`), parameters },
    });
    /** Told before, told twice, and in another order. */
    const told = () => [
      insert(rows),
      insert(earlier(rows)),
      insert(rows.flatMap(withdrawn)),
      insert([...rows].reverse()),
    ];
    const ask = (...queries: Parameters<typeof clickHouse>) =>
      clickHouse(...told(), ...queries).slice(told().length);

    it('each is one row with its last count', () => {
      const sql =
        'SELECT finding_id, toUInt32(count) AS count FROM tcpwhy_findings FINAL WHERE count > 0';
      const [found = []] = ask({ sql });
      expect(new Map(found.map(({ finding_id, count }) => [finding_id, count]))).toEqual(
        new Map(rows.map((row) => [idOf(row), Number(row.attributes['tcpwhy.count'])])),
      );
      expect(found).toHaveLength(rows.length);
    });

    it('joins what the report joins, and nothing else', () => {
      const [found = []] = ask({ sql: 'SELECT * FROM tcpwhy_both_ends' });
      const pairs = found.map(
        ({ finding_id, other_finding_id }) => `${finding_id} = ${other_finding_id}`,
      );
      expect(pairs.sort()).toEqual(joined);
    });

    it('joins the same where both hosts are made of one image, and have one id', () => {
      const [, found = []] = clickHouse(insert(ofOneImage(rows)), {
        sql: 'SELECT * FROM tcpwhy_both_ends',
      });
      expect(found.map((row) => `${row.finding_id} = ${row.other_finding_id}`).sort()).toEqual(
        joined,
      );
      const [one] = called('synack-wrong-source', 'client-7');
      const [, incident = [], said = []] = clickHouse(
        insert(ofOneImage(rows)),
        query('one-incident', { finding: one ? idOf(one) : '' }),
        query('what-the-server-said', { client: 'client-7' }),
      );
      expect(new Set(incident.map(({ host }) => host))).toEqual(new Set(['client-7', 'db-3']));
      expect(new Set(said.map(({ server }) => server))).toEqual(new Set(['db-3']));
    });

    it('does not join what used the same ends an hour later', () => {
      const later = rows
        .filter(({ resource }) => resource['host.name'] === 'db-3')
        .map((row) => ({ ...row, time_ns: row.time_ns + 3600e9 }));
      const client = rows.filter(({ resource }) => resource['host.name'] === 'client-7');
      const [, , found] = clickHouse(insert(client), insert(later), {
        sql: 'SELECT * FROM tcpwhy_both_ends',
      });
      expect(found).toEqual([]);
    });

    it('shows one incident from both ends', () => {
      const [one] = called('synack-wrong-source', 'client-7');
      const [found = []] = ask(query('one-incident', { finding: one ? idOf(one) : '' }));
      expect(found.map(({ host, cause }) => `${host} ${cause}`).sort()).toEqual([
        'client-7 synack-wrong-source',
        'db-3 request-reset',
      ]);
      expect(found[0]).toMatchObject({ advice: expect.arrayContaining([expect.any(String)]) });
    });

    it('tells what the server said', () => {
      const [all = [], other] = ask(
        query('what-the-server-said', { client: '' }),
        query('what-the-server-said', { client: 'db-3' }),
      );
      const said = new Set(
        all.map(({ client, told, server, why }) => `${client} ${told}: ${server} ${why}`),
      );
      expect(said).toContain('client-7 reset-by-peer: db-3 proxy-upstream-failed');
      expect(said).toContain('client-7 connect-refused: db-3 no-listener');
      expect(other).toEqual([]);
    });

    it('counts causes by service and hour, and who saw each first', () => {
      const [top = [], first = []] = ask(query('top-causes'), query('first-host'));
      const failures = new Map<string, number>();
      for (const { cause, service, failures: more } of top)
        failures.set(
          `${cause} ${service}`,
          (failures.get(`${cause} ${service}`) ?? 0) + Number(more),
        );
      expect(failures).toEqual(countedIn(rows));
      expect(
        new Map(first.map(({ cause, service, first_host }) => [`${cause} ${service}`, first_host])),
      ).toEqual(firstIn(rows));
    });
  });

  describe('a report of what was told', () => {
    const report = (...args: string[]) => {
      // The engine may be in this process.
      return new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) => {
        const child = execFile(TCPWHY, ['report', ...args], (_, stdout, stderr) =>
          resolve({ status: child.exitCode, stdout, stderr }),
        );
      });
    };
    const equals = async (url: string) => {
      const [told, own] = [await report('--from', url), await report(...files)];
      expect([told.status, told.stderr]).toEqual([0, '']);
      expect(findingsIn(told.stdout).length).toBeGreaterThan(FIVE.length);
      expect(findingsIn(told.stdout)).toEqual(findingsIn(own.stdout));
      const [refused] = called('no-listener', 'db-3');
      const port = refused?.attributes['tcpwhy.where']?.split(':').at(-1) ?? '';
      const narrowed = findingsIn((await report('--from', url, port)).stdout);
      expect(narrowed).toHaveLength(2);
      for (const finding of narrowed) expect(finding).toContain(`:${port}`);
    };

    it('is that of the recordings: from VictoriaLogs', async ({ skip }) => {
      const lacking = lacks(VICTORIA_LOGS);
      skip(lacking !== null, lacking ?? '');
      await using logs = await VictoriaLogs.start();
      await logs.take(records);
      await logs.take(records);
      await equals(`${logs.address}/select/logsql/query`);
    });

    it('is that of the recordings: from ClickHouse', async ({ skip }) => {
      const lacking = lacks(CHDB);
      skip(lacking !== null, lacking ?? '');
      await using server = await ClickHouse.start();
      for (const { sql } of [
        insert(earlier(rows)),
        insert(rows),
        insert(rows.flatMap(withdrawn)),
        insert(rows),
      ])
        await server.query(sql);
      await equals(server.url);
    });
  });

  it.for([
    { hosts: 'with ids of their own', of: (all: Row[]) => all },
    { hosts: 'made of one image, with one id', of: ofOneImage },
  ])(
    'are joined and counted the same by VictoriaLogs, from hosts $hosts',
    async ({ of }, { skip }) => {
      const lacking = lacks(VICTORIA_LOGS);
      skip(lacking !== null, lacking ?? '');
      await using logs = await VictoriaLogs.start();
      await logs.insert(of([...earlier(rows), ...rows, ...rows.flatMap(withdrawn)]));
      await logs.insert(of(rows));
      const query = (file: string) => logs.query(shipped('victorialogs', `${file}.logsql`));
      const list = (text = '[]') => JSON.parse(text) as string[];

      const hostOf = new Map(rows.map((row) => [idOf(row), row.resource['host.id']]));
      const pairs = (await query('both-ends')).flatMap(({ findings }) =>
        list(findings).flatMap((one) =>
          list(findings)
            .filter((other) => hostOf.get(other) !== hostOf.get(one))
            .map((other) => `${one} = ${other}`),
        ),
      );
      expect([...new Set(pairs)].sort()).toEqual(joined);

      const said = (await query('what-the-server-said')).map(({ told, why }) => [
        ...[list(told), list(why)],
      ]);
      expect(said).toContainEqual([['reset-by-peer'], ['proxy-upstream-failed']]);
      expect(said).toContainEqual([['connect-refused'], ['no-listener']]);

      const failures = new Map<string, number>();
      for (const row of await query('top-causes')) {
        const key = keyOf(row);
        failures.set(key, (failures.get(key) ?? 0) + Number(row.failures));
      }
      expect(failures).toEqual(countedIn(rows));
      const first = await query('first-host');
      expect(new Map(first.map((row) => [keyOf(row), row['host.name'] ?? '']))).toEqual(
        firstIn(rows),
      );
    },
  );
});

/** What a report in Markdown says of each finding, but for times, drawings, and the order of evidence. */
function findingsIn(markdown: string): string[] {
  const [, section = ''] = markdown.split('\n## Findings');
  const [all = ''] = section.split('\n## Where it happened');
  const blocks = all.split(/\n### (?=\d+\. )/).slice(1);
  const summary = (block = '') => /^\*\*.*\*\*$/m.exec(block)?.[0] ?? '';
  return blocks
    .map((block) => {
      const [said = ''] = block.split('\nSequence of events');
      const lines = said.split('\n');
      const elsewhere = [...block.matchAll(/finding (\d+)/g)].map(([, number]) =>
        summary(blocks[Number(number) - 1]),
      );
      return [
        lines[0]?.replace(/^\d+\. /, ''),
        summary(block),
        /^Seen (once|[\d,]+ times)/m.exec(block)?.[0],
        ...elsewhere.sort(),
        ...lines.filter((line) => /^(- | {2})/.test(line)),
        // What nobody knew is not told.
        ...lines.filter((line) => line.startsWith('| ') && !line.endsWith(' `unknown` |')).sort(),
      ].join('\n');
    })
    .sort();
}

const keyOf = (of: Record<string, string>) => `${of['tcpwhy.cause']} ${of['tcpwhy.where']}`;

/** Of hosts that nobody gave an id of their own. */
function ofOneImage(rows: readonly Row[]): Row[] {
  return rows.map((row) => ({ ...row, resource: { ...row.resource, 'host.id': 'image' } }));
}

/** As they came when there was less to tell. */
function earlier(rows: readonly Row[]): Row[] {
  return rows.map((row) => ({
    ...row,
    time_ns: row.time_ns - 1e6,
    attributes: { ...row.attributes, 'tcpwhy.count': '1' },
  }));
}

/** Another finding of the same, of which nothing is left: as the agent told it before, and by then. */
function withdrawn(row: Row): Row[] {
  const id = `${row.attributes['tcpwhy.finding.id']} withdrawn`;
  const told = (count: number, time_ns: number) => ({
    ...{ ...row, time_ns },
    attributes: { ...row.attributes, 'tcpwhy.finding.id': id, 'tcpwhy.count': String(count) },
  });
  return [told(0, row.time_ns + 1000), told(1, row.time_ns)];
}

function countedIn(rows: readonly Row[]): Map<string, number> {
  const counted = new Map<string, number>();
  for (const { attributes, severity } of rows) {
    if (attributes['tcpwhy.because.cause'] || severity === 'INFO') continue;
    const key = keyOf(attributes);
    counted.set(key, (counted.get(key) ?? 0) + Number(attributes['tcpwhy.count']));
  }
  return counted;
}

function firstIn(rows: readonly Row[]): Map<string, string> {
  const first = new Map<string, Row>();
  for (const row of rows) {
    const key = keyOf(row.attributes);
    const known = first.get(key)?.attributes['tcpwhy.first_time'] ?? '~';
    if ((row.attributes['tcpwhy.first_time'] ?? '') < known) first.set(key, row);
  }
  return new Map([...first].map(([key, { resource }]) => [key, resource['host.name'] ?? '']));
}
