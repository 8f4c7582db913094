// SPDX-License-Identifier: Apache-2.0

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../kernel/tcpwhy.ts';
import { shipped } from './engines.ts';
import { Program } from './process.ts';

/** Where `make fleet-test` builds it. */
export const COLLECTOR = join(
  process.env.XDG_CACHE_HOME || join(process.env.HOME ?? '/root', '.cache'),
  `tcpwhy/otelcol-${versionOf(shipped('collector', 'builder.yaml'))}/otelcol`,
);

function versionOf(builder: string): string {
  return builder.match(/^ {2}version: (\S+)$/m)?.[1] ?? '';
}

/** Beside a configuration that is shipped: nothing listens but what agents send to. */
const QUIET = 'service: {telemetry: {metrics: {level: none}}}';

/**
 * OpenTelemetry's collector with a configuration that is shipped, its variables, and what is added to that. It answers
 * when what it brings that to has what it was sent, and keeps nothing itself.
 */
export async function startCollector(
  folder: string,
  port: number,
  config: string,
  env: Record<string, string>,
  ...added: string[]
): Promise<Program> {
  const files = [QUIET, ...added].map((text, at) => {
    const file = join(folder, `collector-${at}.yaml`);
    writeFileSync(file, text);
    return file;
  });
  const configs = [join(ROOT, 'tools/fleet/collector', config), ...files];
  const args = configs.flatMap((file) => ['--config', `file:${file}`]);
  const collector = new Program(COLLECTOR, args, { LISTEN: `127.0.0.1:${port}`, ...env });
  await collector.says(/Everything is ready/);
  return collector;
}
