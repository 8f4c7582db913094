// SPDX-License-Identifier: Apache-2.0

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProtobufLogsSerializer } from '@opentelemetry/otlp-transformer';
import type { LogRecord } from '../../src/agent/otlp.ts';
import { freePort } from '../software/free-port.ts';
import { VICTORIA_LOGS } from './engines.ts';
import type { Row } from './rows.ts';

/** A server of its own, with nothing in it at first. */
export class VictoriaLogs {
  /** As a URL. */
  readonly address: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'tcpwhy-logs-'));
  #child: ChildProcess | null = null;

  private constructor(port: number) {
    this.address = `http://127.0.0.1:${port}`;
  }

  static async start(): Promise<VictoriaLogs> {
    const logs = new VictoriaLogs(await freePort());
    await logs.start();
    return logs;
  }

  /** Again, with all that it had. */
  async start(): Promise<void> {
    const args = [
      `-storageDataPath=${this.#folder}`,
      `-httpListenAddr=${new URL(this.address).host}`,
      '-loggerOutput=stdout',
    ];
    const child = spawn(VICTORIA_LOGS, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (text) => {
        if (String(text).includes('started VictoriaLogs')) resolve();
      });
      child.on('exit', (status) => reject(new Error(`VictoriaLogs ended: ${status}`)));
    });
  }

  /** By SIGTERM: what it answered to have, it loses up to 5 s of where it is killed. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (!child) return;
    const exit = once(child, 'exit');
    child.kill();
    await exit;
  }

  /** With the fields that it makes of OTLP. Comes back when they are found. */
  async insert(rows: readonly Row[]): Promise<void> {
    const lines = rows.map(({ time_ns, body, severity, resource, attributes }) =>
      JSON.stringify({
        ...{ _time: String(BigInt(Math.round(time_ns))), _msg: body, severity },
        ...resource,
        ...attributes,
      }),
    );
    await this.#post('/insert/jsonline?_stream_fields=host.id', lines.join('\n'));
    await this.#post('/internal/force_flush', '');
  }

  /** As a collector, or an agent itself, brings them. */
  async take(records: readonly LogRecord[]): Promise<void> {
    const message = ProtobufLogsSerializer.serializeRequest([...records]) ?? new Uint8Array(0);
    await this.#post('/insert/opentelemetry/v1/logs', Buffer.from(message), {
      'content-type': 'application/x-protobuf',
    });
    await this.#post('/internal/force_flush', '');
  }

  /** What was told of each finding last, as far as it counts any. */
  async findings(): Promise<Record<string, string>[]> {
    await this.#post('/internal/force_flush', '');
    return this.query(`tcpwhy.finding.id:*
      | stats by (tcpwhy.finding.id) row_max(_time, tcpwhy.count, tcpwhy.cause, host.id) as last
      | unpack_json from last
      | filter tcpwhy.count:>0`);
  }

  async query(logsql: string): Promise<Record<string, string>[]> {
    const text = await this.#post('/select/logsql/query', new URLSearchParams({ query: logsql }));
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  }

  async #post(path: string, body: BodyInit, headers: Record<string, string> = {}): Promise<string> {
    const response = await fetch(this.address + path, { method: 'POST', body, headers });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true });
  }
}
