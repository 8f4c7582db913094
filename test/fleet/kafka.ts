// SPDX-License-Identifier: Apache-2.0

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from '../software/free-port.ts';
import { KAFKA } from './engines.ts';
import { Program } from './process.ts';
import { Received } from './sink.ts';

const java = (...args: string[]) => ['-Xmx256m', '-cp', join(KAFKA, '*'), ...args];

/** A broker of its own, with nothing in it at first. */
export class Kafka {
  readonly address: string;
  readonly #folder: string;
  readonly #settings: string;
  readonly #readers: ChildProcess[] = [];
  #broker: Program | null = null;

  private constructor(folder: string, port: number, controller: number) {
    this.address = `127.0.0.1:${port}`;
    this.#folder = folder;
    this.#settings = join(folder, 'server.properties');
    const settings = {
      'process.roles': 'broker,controller',
      'node.id': 1,
      'controller.quorum.voters': `1@127.0.0.1:${controller}`,
      'controller.listener.names': 'CONTROLLER',
      listeners: `PLAINTEXT://${this.address},CONTROLLER://127.0.0.1:${controller}`,
      'log.dirs': join(folder, 'data'),
      'offsets.topic.replication.factor': 1,
      // After it was killed it is taken back sooner.
      'broker.heartbeat.interval.ms': 300,
      'broker.session.timeout.ms': 1500,
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
    writeFileSync(this.#settings, lines.join(''));
  }

  static async start(): Promise<Kafka> {
    const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-kafka-'));
    const kafka = new Kafka(folder, await freePort(), await freePort());
    const format = ['kafka.tools.StorageTool', 'format', '-t', 'tcpwhytcpwhytcpwhytcpA'];
    execFileSync('java', java(...format, '-c', kafka.#settings), { stdio: 'ignore' });
    await kafka.start();
    return kafka;
  }

  /** Again, with all that it had. */
  async start(): Promise<void> {
    this.#broker = new Program('java', java('kafka.Kafka', this.#settings));
    await this.#broker.says(/Kafka Server started/);
  }

  async kill(): Promise<void> {
    await this.#broker?.stop('SIGKILL');
  }

  /** What there is in a topic, and comes there from now on. */
  read(topic: string): Received {
    const received = new Received();
    const of = ['--bootstrap-server', this.address, '--topic', topic, '--from-beginning'];
    const reader = spawn('java', java('org.apache.kafka.tools.consumer.ConsoleConsumer', ...of), {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#readers.push(reader);
    createInterface(reader.stdout).on('line', (line) => received.take(JSON.parse(line)));
    return received;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const reader of this.#readers) {
      const exit = once(reader, 'exit');
      reader.kill('SIGKILL');
      await exit;
    }
    await this.#broker?.[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }
}
