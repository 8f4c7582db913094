// SPDX-License-Identifier: Apache-2.0

import { afterEach, beforeEach, expect, test } from 'vitest';
import { ExportCounters } from '../../../src/agent/counters.ts';
import { Delivery } from '../../../src/agent/delivery.ts';
import { post } from '../../../src/agent/post.ts';
import { attributesIn, recordsIn } from './otlp.ts';
import { Receiver } from './receiver.ts';
import { record } from './records.ts';

let receiver: Receiver;
let counters: ExportCounters;
let said: string[];
let waited: number[];
let delivery: Delivery;
const going = new AbortController().signal;

beforeEach(async () => {
  receiver = await Receiver.open();
  counters = new ExportCounters();
  said = [];
  waited = [];
  delivery = new Delivery(
    receiver.endpoint,
    counters,
    (text) => said.push(text),
    async (ms) => {
      waited.push(ms);
    },
  );
});
afterEach(() => receiver.close());

const records = (count: number) =>
  Array.from({ length: count }, (_, i) => record({ count: i + 1 }));
const countsOf = (request: { body: Buffer } | undefined) =>
  recordsIn(request?.body ?? Buffer.alloc(0)).map(
    (one) => attributesIn(one)['tcpwhy.count'] as number,
  );

test('records go by OTLP, compressed, with the headers that were set', async () => {
  expect(await delivery.send(records(2), going)).toBe(true);
  const [request] = receiver.requests;
  expect(request).toMatchObject({
    path: '/v1/logs',
    headers: {
      'content-type': 'application/x-protobuf',
      'content-encoding': 'gzip',
      tenant: '1',
    },
  });
  expect(countsOf(request)).toEqual([1, 2]);
  expect(counters).toMatchObject({ delivered: 2, rejected: 0, refused: 0, failed_requests: 0 });
});

test('nothing is sent where there is nothing', async () => {
  expect(await delivery.send([], going)).toBe(true);
  expect(receiver.requests).toEqual([]);
});

test('many go in several requests, in their order', async () => {
  await delivery.send(records(600), going);
  const counts = receiver.requests.map(countsOf);
  expect(counts.map(({ length }) => length)).toEqual([256, 256, 88]);
  expect(counts.flat()).toEqual(Array.from({ length: 600 }, (_, i) => i + 1));
});

const WHO_SENDS = ' \\(OTEL_EXPORTER_OTLP_HEADERS says who .*\\)';
const WHERE = ' at /v1/logs \\(OTEL_EXPORTER_OTLP_ENDPOINT gets that path, .*\\)';

test.each([401, 403, 404, 408, 415, 429, 500, 502, 503, 504])(
  'what fails with %d is sent again until it is taken',
  async (status) => {
    receiver.answers = [() => ({ status }), () => ({ status }), () => ({ status: 200 })];
    expect(await delivery.send(records(1), going)).toBe(true);
    expect(receiver.requests.map(countsOf)).toEqual([[1], [1], [1]]);
    expect(counters).toMatchObject({ delivered: 1, refused: 0, failed_requests: 2 });
    expect(waited).toHaveLength(2);
    expect(waited[1]).toBeGreaterThan(waited[0] ?? 0);
    expect(said).toEqual([
      expect.stringMatching(
        `HTTP status ${status}${{ 401: WHO_SENDS, 403: WHO_SENDS, 404: WHERE }[status] ?? ''}: findings wait`,
      ),
      expect.stringMatching(/answers again/),
    ]);
  },
);

test('so is what is cut off, or finds nobody', async () => {
  receiver.answers = [() => 'hangs up', () => ({ status: 200 })];
  expect(await delivery.send(records(1), going)).toBe(true);
  expect(counters).toMatchObject({ delivered: 1, failed_requests: 1 });
});

test.each([
  ['127.0.0.1', /ECONNREFUSED .*\(nothing listens there: is the collector running/],
  ['no-collector.invalid', /\((no such name: is OTEL_|the resolver does not answer)/],
])('where nobody is at %s it is said what that may be', async (host, why) => {
  const { endpoint } = receiver;
  receiver.close();
  const url = new URL(endpoint.url);
  url.hostname = host;
  expect(await post({ ...endpoint, url }, Buffer.of(1))).toMatchObject({
    is: 'failed',
    why: expect.stringMatching(why),
  });
  receiver = await Receiver.open();
});

test('it waits as long as it is asked to', async () => {
  const later = new Date(Date.now() + 100_000).toUTCString();
  receiver.answers = [
    () => ({ status: 503, headers: { 'retry-after': '30' } }),
    () => ({ status: 503, headers: { 'retry-after': later } }),
    () => ({ status: 429, headers: { 'retry-after': '999999' } }),
    () => ({ status: 429, headers: { 'retry-after': '70' } }),
    // No less than it would wait anyhow, and no sooner for what says nothing.
    () => ({ status: 429, headers: { 'retry-after': '0' } }),
    () => ({ status: 503, headers: { 'retry-after': 'soon' } }),
    () => ({ status: 200 }),
  ];
  await delivery.send(records(1), going);
  expect(waited[0]).toBe(30_000);
  expect(waited[1]).toBeGreaterThan(90_000);
  expect(waited[2]).toBe(600_000);
  expect(waited[3]).toBe(70_000);
  for (const ms of waited.slice(4)) expect(ms).toBeGreaterThanOrEqual(8000);
  expect(waited).toHaveLength(6);
  expect(counters).toMatchObject({ delivered: 1, refused: 0, failed_requests: 6 });
});

test.each([400, 422])(
  'of what is refused with %d only the record that it is for is passed over, counted and said',
  async (status) => {
    receiver.answers = [(request) => ({ status: countsOf(request).includes(137) ? status : 200 })];
    expect(await delivery.send(records(300), going)).toBe(true);
    const taken = receiver.requests.map(countsOf).filter((counts) => !counts.includes(137));
    expect(taken.flat().sort((a, b) => a - b)).toEqual(
      Array.from({ length: 300 }, (_, i) => i + 1).filter((count) => count !== 137),
    );
    expect(counters).toMatchObject({ delivered: 299, refused: 1, failed_requests: 0 });
    expect(said).toEqual([
      expect.stringContaining(`HTTP status ${status}: 1 of 256 findings are not sent again`),
    ]);
  },
);

test('who refuses all is not asked for each, and is again where it takes some', async () => {
  receiver.answers = [() => ({ status: 400 })];
  const requests = async (count: number) => {
    receiver.requests.length = 0;
    await delivery.send(records(count), going);
    return receiver.requests.length;
  };
  // What was sent, and two for each split.
  expect(await requests(256)).toBe(1 + 2 * 32);
  expect(await requests(256)).toBe(1);
  expect(counters).toMatchObject({ delivered: 0, refused: 512 });
  expect(said).toHaveLength(2);
  receiver.answers = [() => ({ status: 200 })];
  await delivery.send(records(1), going);
  receiver.answers = [(request) => ({ status: countsOf(request).includes(2) ? 400 : 200 })];
  await delivery.send(records(2), going);
  expect(counters).toMatchObject({ delivered: 2, refused: 513 });
});

test('what is too large is sent in smaller requests, and only what still is too large is passed over', async () => {
  receiver.answers = [
    (request) => ({
      status: countsOf(request).includes(5) || countsOf(request).length > 2 ? 413 : 200,
    }),
  ];
  expect(await delivery.send(records(8), going)).toBe(true);
  expect(counters).toMatchObject({ delivered: 7, refused: 1 });
});

test('what is taken in part is counted by what was not', async () => {
  const message = Buffer.from('no room');
  const partial = Buffer.from([0x08, 2, 0x12, message.length, ...message]);
  const body = Buffer.from([0x0a, partial.length, ...partial]);
  receiver.answers = [() => ({ status: 200, body })];
  expect(await delivery.send(records(5), going)).toBe(true);
  expect(counters).toMatchObject({ delivered: 3, rejected: 2 });
  expect(said).toEqual([expect.stringContaining('did not take 2 of 5 findings: no room')]);
});

test('an answer in another form says nothing', async () => {
  receiver.answers = [() => ({ status: 200, body: Buffer.from('<html>') })];
  expect(await delivery.send(records(1), going)).toBe(true);
  expect(counters).toMatchObject({ delivered: 1, rejected: 0 });
});

test('it stops in the middle where it is told to', async () => {
  const stop = new AbortController();
  receiver.answers = [
    () => {
      stop.abort();
      return 'hangs up';
    },
  ];
  expect(await delivery.send(records(1), stop.signal)).toBe(false);
  expect(counters).toMatchObject({ delivered: 0 });
});

test('an answer that does not come is a failure', async () => {
  const endpoint = { ...receiver.endpoint, timeout_ms: 50 };
  const stop = new AbortController();
  const impatient = new Delivery(
    endpoint,
    counters,
    (text) => said.push(text),
    async () => stop.abort(),
  );
  receiver.answers = [() => 'never'];
  expect(await impatient.send(records(1), stop.signal)).toBe(false);
  expect(said).toEqual([expect.stringContaining('no answer within 50 ms')]);
});
