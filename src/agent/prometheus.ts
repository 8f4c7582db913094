// SPDX-License-Identifier: Apache-2.0

import type { Server } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { http } from './http.ts';
import type { Metric, Point } from './metrics.ts';

/** So long an answer holds: whoever asks more often costs nothing. */
const HOLDS_MS = 1000;
/** For a request to come, and for an answer to be read on. */
const TIMEOUT_MS = 10_000;
const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** As Prometheus reads it; names as OpenTelemetry maps them: `tcpwhy_findings_total`. */
export function prometheusText(metrics: readonly Metric[]): string {
  const lines = metrics
    .filter(({ points }) => points.length > 0)
    .flatMap(({ name: dotted, kind, description, points }) => {
      const name = `${dotted.replace(/[^a-zA-Z0-9_:]/g, '_')}${kind === 'sum' ? '_total' : ''}`;
      return [
        `# HELP ${name} ${description}`,
        `# TYPE ${name} ${kind === 'sum' ? 'counter' : 'gauge'}`,
        ...points.map((point) => `${name}${labels(point)} ${point.value}`),
      ];
    });
  return `${lines.join('\n')}\n`;
}

function labels({ attributes }: Point): string {
  const pairs = Object.entries(attributes).map(
    ([name, value]) => `${name.replace(/[^a-zA-Z0-9_]/g, '_')}="${escaped(String(value))}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}

/** Serves what `read` gives at /metrics. Rejects where it cannot listen there. */
export async function servePrometheus(
  host: string,
  port: number,
  read: () => readonly Metric[],
): Promise<Server> {
  let last = { text: '', made_ms: Number.NEGATIVE_INFINITY };
  const server = http.createServer({ requestTimeout: TIMEOUT_MS }, async (request, response) => {
    const [path] = (request.url ?? '').split('?');
    if (path !== '/metrics' || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(404).end();
      return;
    }
    const now_ms = performance.now();
    if (now_ms - last.made_ms >= HOLDS_MS) last = { text: prometheusText(read()), made_ms: now_ms };
    const { text } = last;
    const zipped = /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
    response.writeHead(200, {
      'content-type': CONTENT_TYPE,
      ...(zipped && { 'content-encoding': 'gzip' }),
    });
    response.end(zipped ? await promisify(gzip)(text) : text);
  });
  server.maxConnections = 16;
  server.setTimeout(TIMEOUT_MS);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  server.unref();
  return server;
}
