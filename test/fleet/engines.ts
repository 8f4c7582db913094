// SPDX-License-Identifier: Apache-2.0

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { ROOT } from '../kernel/tcpwhy.ts';
import type { Row } from './rows.ts';

const MAKEFILE = readFileSync(join(ROOT, 'Makefile'), 'utf8');
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'tcpwhy');

/** What `make fleet-test` puts there. */
const cached = (name: string, variable: string, file: string) =>
  join(CACHE, `${name}-${new RegExp(`^${variable} := (.*)$`, 'm').exec(MAKEFILE)?.[1]}`, file);

export const CHDB = cached('chdb', 'CHDB_VERSION', 'chdb');
export const VICTORIA_LOGS = cached('victoria-logs', 'VICTORIA_LOGS_VERSION', 'victoria-logs');
export const KAFKA = cached('kafka', 'KAFKA_VERSION', 'lib');
export const PROMTOOL = cached('promtool', 'PROMTOOL_VERSION', 'promtool');
export const SCHEMAS = cached('schemas', 'SCHEMAS_VERSION', 'node_modules');

/** As the word of a skipped test, or null. */
export function lacks(program: string): string | null {
  return existsSync(program) ? null : `${program} is not there: make fleet-test builds it`;
}

export const shipped = (...path: string[]) =>
  readFileSync(join(ROOT, 'tools/fleet', ...path), 'utf8');

interface Asked {
  sql: string;
  parameters?: Record<string, string>;
}

const text = (value: string) =>
  `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`;
const map = (attributes: Record<string, string>) =>
  `map(${Object.entries(attributes).flat().map(text).join(', ')})`;

/** Puts them where the collector’s exporter does. */
export function insert(rows: readonly Row[]): Asked {
  const values = rows.map(({ time_ns, severity, body, resource, attributes }) => {
    const time = `fromUnixTimestamp64Nano(${BigInt(Math.round(time_ns))})`;
    return `(${time}, ${text(severity)}, ${text(body)}, ${map(resource)}, ${map(attributes)}, 'tcpwhy.finding')`;
  });
  const columns = 'Timestamp, SeverityText, Body, ResourceAttributes, LogAttributes, EventName';
  return { sql: `INSERT INTO otel_logs (${columns}) VALUES ${values.join(', ')}` };
}

/** Each statement of the schema that is shipped. */
const schemaSql = () =>
  shipped('clickhouse', 'schema.sql')
    .split(/;\n/)
    .filter((sql) => /^[A-Z]/m.test(sql));

/** ClickHouse’s own engine behind an HTTP interface, with the schema and nothing else. */
export class ClickHouse {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  static async start(): Promise<ClickHouse> {
    const child = spawn('python3', [join(import.meta.dirname, 'clickhouse-http.py')], {
      env: { ...process.env, PYTHONPATH: dirname(CHDB) },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const [port] = (await once(child.stdout, 'data')) as [Buffer];
    const server = new ClickHouse(child, `http://127.0.0.1:${String(port).trim()}/`);
    for (const sql of schemaSql()) await server.query(sql);
    return server;
  }

  async query(sql: string, parameters: Record<string, string> = {}): Promise<string> {
    const url = new URL(this.url);
    for (const [name, value] of Object.entries(parameters))
      url.searchParams.set(`param_${name}`, value);
    const answer = await fetch(url, { method: 'POST', body: sql });
    const text = await answer.text();
    if (!answer.ok) throw new Error(text);
    return text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await ended;
  }
}

/** Of ClickHouse’s own engine with the schema that is shipped: what each query gives. */
export function clickHouse(...queries: Asked[]): Record<string, unknown>[][] {
  const schema = schemaSql();
  const asked = [...schema.map((sql) => ({ sql })), ...queries];
  const { status, stdout, stderr } = spawnSync(
    'python3',
    [join(import.meta.dirname, 'clickhouse.py')],
    {
      env: { ...process.env, PYTHONPATH: dirname(CHDB) },
      encoding: 'utf8',
      input: asked.map((one) => `${JSON.stringify({ parameters: {}, ...one })}\n`).join(''),
      maxBuffer: 1 << 28,
    },
  );
  if (status !== 0) throw new Error(stderr);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .slice(schema.length)
    .map((line) =>
      (JSON.parse(line) as string)
        .split('\n')
        .filter((row) => row !== '')
        .map((row) => JSON.parse(row)),
    );
}
