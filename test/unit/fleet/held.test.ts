// SPDX-License-Identifier: Apache-2.0

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { logRecordOf } from '../../../src/agent/log-record.ts';
import { heldBy } from '../../../src/fleet/held.ts';
import { EVERYTHING } from '../../../src/source/filter.ts';
import { type Answer, Receiver, type Request } from '../agent/receiver.ts';
import { FINDING, KEY, RESOURCES } from '../agent/records.ts';

const NOW_NS = Date.parse('2026-11-22T01:00:00Z') * 1e6;
const SINCE_NS = NOW_NS - 3600e9;
const [CLICKHOUSE, VICTORIA_LOGS] = ['/?database=otel', '/select/logsql/query'];

let receiver: Receiver;
beforeEach(async () => {
  receiver = await Receiver.open();
});
afterEach(() => receiver.close());

const ask = (path: string, most?: number, env: NodeJS.ProcessEnv = {}, credentials = '') => {
  const url = new URL(`http://${credentials}127.0.0.1:${receiver.port}${path}`);
  const all = { filter: EVERYTHING, causes: null };
  return heldBy(url, SINCE_NS, NOW_NS, all, env, new AbortController().signal, most);
};
/** As an engine has what an agent told: all attributes are text. */
function stored(id: string): string {
  const beside = { sides: null, keys: [KEY], time_ns: FINDING.last_ns };
  const origin = { run: id, part: 1 };
  const { attributes, resource, body } = logRecordOf(FINDING, beside, origin, RESOURCES, NOW_NS);
  const texts = (of: object) =>
    Object.fromEntries(
      Object.entries(of).map(([name, value]) => [
        name,
        typeof value === 'string' ? value : JSON.stringify(value),
      ]),
    );
  return JSON.stringify({
    time_ns: FINDING.last_ns,
    Body: body,
    ResourceAttributes: texts(resource.attributes),
    LogAttributes: texts(attributes),
  });
}
const rows = (...lines: string[]) => ({ status: 200, body: Buffer.from(`${lines.join('\n')}\n`) });
const answers = (...all: (Answer | 'hangs up' | 'breaks off')[]) => {
  receiver.answers = all.map((one) => () => one);
};

test('what was told comes back, whatever was no text', async () => {
  answers(rows(stored('a')), rows());
  const held = await ask(CLICKHOUSE);
  const { id, last_ns, evidence, ...same } = FINDING;
  // What nobody knew is not told.
  const { unknown, ...known } = evidence;
  expect(held?.told).toHaveLength(1);
  const [{ finding, ...beside } = { finding: null }] = held?.told ?? [];
  expect(finding).toMatchObject({ ...same, events: [], evidence: known });
  expect(finding?.last_ns).toBeCloseTo(last_ns, -3);
  expect(beside).toMatchObject({ host: 'web1', host_id: 'abc', keys: [KEY] });
});

test('no more are read than are asked for, and that there are more is said', async () => {
  answers(rows(...['a', 'b', 'c', 'd', 'e'].map(stored)), rows());
  expect(await ask(CLICKHOUSE, 2)).toMatchObject({ incomplete: true });
  answers(rows(...['a', 'b'].map(stored)), rows());
  expect(await ask(CLICKHOUSE, 2)).toMatchObject({ incomplete: false });
});

describe('what an engine does wrong is said', () => {
  test.each<[string, Answer | 'hangs up' | 'breaks off', RegExp]>([
    [
      'another table',
      { status: 404, body: Buffer.from('Code: 60. DB::Exception: Unknown table expression') },
      /^127\.0\.0\.1:\d+: HTTP status 404: Code: 60\. DB::Exception: Unknown table/,
    ],
    ['a refusal', { status: 401 }, /: HTTP status 401$/],
    ['another place', { status: 302, headers: { location: 'http://127.0.0.2/' } }, /status 302$/],
    ['nothing', 'hangs up', /^127\.0\.0\.1:\d+: .*(other side closed|ECONNRESET)/],
    [
      'no whole answer',
      'breaks off',
      /^127\.0\.0\.1:\d+: .*(terminated|other side closed|aborted)/,
    ],
    ['half a row', rows('{"time_ns":1'), /no row as JSON: \{"time_ns":1$/],
    ['an exception among rows', rows('Code: 241. Memory limit'), /no row as JSON: Code: 241/],
    ['a page', rows('<html>'), /no row as JSON: <html>/],
    [
      'others’ log records',
      rows('{"time_ns":1,"Body":"","LogAttributes":{},"ResourceAttributes":{}}'),
      /not as tcpwhy agent makes them/,
    ],
    ['no objects of attributes', rows('{}'), /not as tcpwhy agent makes them/],
  ])('%s', async (_, answer, said) => {
    answers(answer);
    await expect(ask(CLICKHOUSE)).rejects.toThrow(said);
  });
});

describe('who asks is told in headers, and nowhere else', () => {
  const asked = async (path: string, env: NodeJS.ProcessEnv, credentials = '') => {
    answers(rows());
    const held = await ask(path, undefined, env, credentials);
    const { headers, path: asked_at } = receiver.requests[0] as Request;
    expect(JSON.stringify([held, asked_at])).not.toMatch(/secret|geheim/);
    return headers;
  };

  test('as the URL says', async () => {
    const { authorization } = await asked(VICTORIA_LOGS, {}, 'ann:s%65cret@');
    expect(authorization).toBe(`Basic ${Buffer.from('ann:secret').toString('base64')}`);
  });

  test('as the environment does', async () => {
    const env = { CLICKHOUSE_USER: 'ann', CLICKHOUSE_PASSWORD: 'geheim' };
    expect(await asked(CLICKHOUSE, env)).toMatchObject({
      ...{ 'x-clickhouse-user': 'ann', 'x-clickhouse-key': 'geheim' },
    });
  });

  test('to ClickHouse only what is of ClickHouse', async () => {
    const env = {
      CLICKHOUSE_PASSWORD: 'geheim',
      TCPWHY_FROM_HEADERS: 'Authorization=Bearer%20secret',
    };
    const headers = await asked(VICTORIA_LOGS, env);
    expect(headers).toMatchObject({ authorization: 'Bearer secret' });
    expect(headers).not.toHaveProperty('x-clickhouse-key');
  });
});
