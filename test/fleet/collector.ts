// SPDX-License-Identifier: Apache-2.0

import { readFileSync, writeFileSync } from 'node:fs';
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

/**
 * OpenTelemetry's collector. It answers when what it brings that to has what it was sent, and keeps nothing itself.
 * `sink` is lines of how that is reached.
 */
export async function startCollector(
  folder: string,
  port: number,
  ...sink: string[]
): Promise<Program> {
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
    ${sink.join('\n    ')}
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
