// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { appendFileSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { awaitAll, dial, say } from '../../src/lab/connections.ts';
import type { Lab } from '../../src/lab/lab.ts';
import type { Netns } from '../../src/lab/netns.ts';
import { type Address, must, POLLIN, POLLOUT, type Socket } from '../../src/native/sockets.ts';
import { Service } from './service.ts';

/** Debian has a folder for each version, and none of it in PATH. */
const VERSIONS = '/usr/lib/postgresql';
const USER = 'postgres';
/** Of the protocol: 3.0. */
const PROTOCOL = 3 << 16;
const READY_FOR_QUERY = 'Z'.charCodeAt(0);

/** What is missing, as the word of a skipped test, or null. */
export function lacksPostgres(): string | null {
  return programs() === null ? 'PostgreSQL is not installed' : null;
}

function programs(): string | null {
  const versions = existsSync(VERSIONS) ? readdirSync(VERSIONS) : [];
  const folders = versions.map((version) => join(VERSIONS, version, 'bin'));
  return folders.find((folder) => existsSync(join(folder, 'postgres'))) ?? null;
}

/** Where one of its programs is. */
export function programOfPostgres(name: string): string {
  const bin = programs();
  if (bin === null) throw new Error('no PostgreSQL');
  return join(bin, name);
}

/** A PostgreSQL of the test's own, in the lab's server namespace. */
export class Postgres {
  readonly #service: Service;
  readonly #psql: string[];

  private constructor(service: Service, psql: string[]) {
    this.#service = service;
    this.#psql = psql;
  }

  static async start(lab: Lab, { address, port }: Address): Promise<Postgres> {
    const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-postgres-'));
    lab.defer(() => rmSync(folder, { recursive: true }));
    const id = (option: string) => Number(execFileSync('id', [option, USER], { encoding: 'utf8' }));
    chownSync(folder, id('-u'), id('-g'));
    const data = join(folder, 'data');
    const initdb = ['--no-sync', '--no-instructions', '--auth=trust', '--no-locale', '-D', data];
    const [program = '', ...args] = asUser([programOfPostgres('initdb'), ...initdb]);
    execFileSync(program, args, { stdio: 'pipe', cwd: folder });
    appendFileSync(join(data, 'pg_hba.conf'), 'host all all all trust\n');
    const settings = {
      listen_addresses: address,
      port,
      unix_socket_directories: folder,
      max_connections: 20,
      shared_buffers: '16MB',
      fsync: 'off',
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const command = asUser([programOfPostgres('postgres'), '-D', data, ...options]);
    const service = await Service.listening(lab.server, port, command);
    await service.until(() => service.said.includes('ready to accept'), 'it to be ready');
    const socket = ['-h', folder, '-p', String(port), '-U', USER];
    return new Postgres(service, [programOfPostgres('psql'), ...socket, '-At']);
  }

  get pid(): number {
    return this.#service.pid;
  }

  /** Asks it over its Unix socket. Returns a line for each row. */
  query(sql: string): string[] {
    const [program = '', ...args] = this.#psql;
    const rows = execFileSync(program, [...args, '-c', sql], { encoding: 'utf8' });
    return rows.split('\n').filter((row) => row !== '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service.stop('SIGQUIT');
  }
}

/** It does not run as root. A change of user forgets the signal that ends it with us. */
function asUser(command: string[]): string[] {
  const user = [`--reuid=${USER}`, `--regid=${USER}`, '--clear-groups'];
  return ['setpriv', ...user, '--pdeathsig', 'QUIT', ...command];
}

/** Sessions of clients that are logged in and have nothing to ask yet. */
export function logIn(lab: Lab, from: Netns, to: Address, times: number): Socket[] {
  const clients = dial(lab, from, to, times);
  awaitAll(clients, POLLOUT, 'the connect');
  const login = Buffer.from(`....\0\0\0\0user\0${USER}\0database\0postgres\0\0`);
  login.writeInt32BE(login.length, 0);
  login.writeInt32BE(PROTOCOL, 4);
  say(clients, login.toString('latin1'));
  for (const client of clients) awaitReady(client);
  return clients;
}

export function ask(clients: Socket[], sql: string): void {
  const query = Buffer.from(`Q....${sql}\0`);
  query.writeInt32BE(query.length - 1, 1);
  say(clients, query.toString('latin1'));
}

/** The message is the last of the answer, and 6 bytes long. */
function awaitReady(client: Socket): void {
  let answer = Buffer.alloc(0);
  while (answer.at(-6) !== READY_FOR_QUERY) {
    awaitAll([client], POLLIN, 'the answer');
    const { data } = must(client.recv(), 'recv');
    if (data.length === 0) throw new Error(`not logged in: ${answer.toString('latin1')}`);
    answer = Buffer.concat([answer, data]);
  }
}
