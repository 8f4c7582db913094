// SPDX-License-Identifier: Apache-2.0

import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { Program } from './process.ts';

/** Where `make fleet-test` builds it. */
export const COLLECTOR = join(
  process.env.XDG_CACHE_HOME || join(process.env.HOME ?? '/root', '.cache'),
  `tcpwhy/otelcol-${versionOf(readFileSync('tools/fleet/collector.yaml', 'utf8'))}/otelcol`,
);

function versionOf(builder: string): string {
  return builder.match(/^ {2}version: (\S+)$/m)?.[1] ?? '';
}

/** One that nobody listens at, for what cannot choose its own. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** OpenTelemetry's collector. It answers when `sink` has what it was sent, and keeps nothing itself. */
export async function startCollector(folder: string, port: number, sink: string): Promise<Program> {
  const config = join(folder, 'collector.yaml');
  writeFileSync(
    config,
    `
receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:${port}
exporters:
  otlphttp:
    endpoint: ${sink}
    encoding: json
    compression: none
    sending_queue:
      enabled: false
    retry_on_failure:
      enabled: false
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    logs:
      receivers: [otlp]
      exporters: [otlphttp]
    metrics:
      receivers: [otlp]
      exporters: [otlphttp]
`,
  );
  const collector = new Program(COLLECTOR, ['--config', `file:${config}`]);
  await collector.says(/Everything is ready/);
  return collector;
}
