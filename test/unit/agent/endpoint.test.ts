// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { endpointOf, metricsInterval_ms, pairs } from '../../../src/agent/endpoint.ts';

test.each([
  [{}, 'http://localhost:4318/v1/logs'],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, 'http://c:4318/v1/logs'],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c/otlp/' }, 'http://c/otlp/v1/logs'],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c?token=1' }, 'http://c/v1/logs?token=1'],
  [
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c',
      OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: 'http://l/exactly/this',
    },
    'http://l/exactly/this',
  ],
])('%o is %s', (env, url) => {
  expect(endpointOf('logs', env)?.url.href).toBe(url);
});

test('each signal has its own settings, else those of all', () => {
  const env = {
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20x, tenant=1',
    OTEL_EXPORTER_OTLP_LOGS_HEADERS: 'tenant=2',
    OTEL_EXPORTER_OTLP_TIMEOUT: '500',
    OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: '700',
    OTEL_EXPORTER_OTLP_LOGS_COMPRESSION: 'none',
  };
  expect(endpointOf('logs', env)).toMatchObject({
    headers: { tenant: '2' },
    gzip: false,
    timeout_ms: 500,
  });
  expect(endpointOf('metrics', env)).toMatchObject({
    headers: { authorization: 'Bearer x', tenant: '1' },
    gzip: true,
    timeout_ms: 700,
  });
});

test('an empty variable is as none', () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_EXPORTER_OTLP_TIMEOUT: '' };
  expect(endpointOf('logs', env)).toEqual(endpointOf('logs', {}));
});

test('a signal may be turned off', () => {
  expect(endpointOf('logs', { OTEL_LOGS_EXPORTER: 'none' })).toBeNull();
  expect(endpointOf('metrics', { OTEL_LOGS_EXPORTER: 'none' })).not.toBeNull();
});

test.each([
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, /only http\/protobuf/],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }, /no URL of http/],
  [{ OTEL_EXPORTER_OTLP_COMPRESSION: 'zstd' }, /gzip or none/],
  [{ OTEL_EXPORTER_OTLP_TIMEOUT: 'soon' }, /milliseconds/],
  [{ OTEL_EXPORTER_OTLP_TIMEOUT: '0' }, /milliseconds/],
  [{ OTEL_EXPORTER_OTLP_TIMEOUT: '0.5' }, /milliseconds/],
  [{ OTEL_EXPORTER_OTLP_TIMEOUT: '99999999999' }, /from 1 to 2147483647/],
  [{ OTEL_EXPORTER_OTLP_TIMEOUT: 'Infinity' }, /milliseconds/],
  [{ OTEL_EXPORTER_OTLP_HEADERS: 'x' }, /KEY=VALUE/],
  [{ OTEL_EXPORTER_OTLP_HEADERS: 'x=a%0ab' }, /OTLP_HEADERS: what HTTP does not allow/],
  [{ OTEL_LOGS_EXPORTER: 'console' }, /otlp or none/],
  [
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://c',
      OTEL_EXPORTER_OTLP_CERTIFICATE: '/does/not/exist',
    },
    /OTLP_CERTIFICATE=\/does\/not\/exist: ENOENT/,
  ],
])('%o is refused', (env, said) => {
  expect(() => endpointOf('logs', env)).toThrow(said);
});

test('what is refused of a URL does not say what is secret in it', () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'anna:hunter2@collector:4318' };
  expect(() => endpointOf('logs', env)).toThrow(/^OTEL_EXPORTER_OTLP_ENDPOINT: no URL of http/);
});

test('metrics are told each minute unless told otherwise', () => {
  expect(metricsInterval_ms({})).toBe(60_000);
  expect(metricsInterval_ms({ OTEL_METRIC_EXPORT_INTERVAL: '1000' })).toBe(1000);
  for (const text of ['x', '-1', '4294967296'])
    expect(() => metricsInterval_ms({ OTEL_METRIC_EXPORT_INTERVAL: text })).toThrow(/milliseconds/);
});

test('pairs are percent-encoded', () => {
  expect(pairs('X', 'a=b%2Cc,d=e=f,')).toEqual({ a: 'b,c', d: 'e=f' });
  expect(() => pairs('X', 'a=%zz')).toThrow(/percent/);
});
