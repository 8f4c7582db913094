// SPDX-License-Identifier: Apache-2.0

import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { sums, TIMES } from '../../src/lab/conformance.ts';
import { awaitAll, awaitReset } from '../../src/lab/connections.ts';
import type { Lab } from '../../src/lab/lab.ts';
import { until } from '../../src/lab/until.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { POLLRDHUP } from '../../src/native/sockets.ts';
import { behindNat } from '../software/nat.ts';
import { hangUpAll, overflow, unread } from '../software/overflow.ts';
import { ask, lacksPostgres, logIn, Postgres } from '../software/postgres.ts';
import { lacking } from '../software/service.ts';
import { Stopped } from '../software/stopped.ts';
import type { Finding } from './tcpwhy.ts';
import { Watched } from './watched.ts';

const BACKLOG = 3;
const CLIENTS = `from pg_stat_activity where client_addr = '${HOSTS[4].client}'`;
const to = { address: HOSTS[4].server, port: 5432 };

const missing = lacksPostgres() ?? lacking('nft');
beforeEach(({ skip }) => skip(missing !== null, missing ?? ''));

let watched: Watched;
beforeAll(async () => {
  watched = await Watched.start();
});
afterAll(() => watched[Symbol.asyncDispose]());

it('PostgreSQL, its postmaster hung, does not accept clients from behind NAT', async () => {
  const lab = watched.lab();
  const from = behindNat(lab);
  lab.server.sysctl({ 'net.core.somaxconn': BACKLOG });
  await using postgres = await Postgres.start(lab, to);
  using postmaster = new Stopped(postgres.pid);
  const waiting = overflow(lab, { from, to, backlog: BACKLOG, times: TIMES });
  postmaster.goOn();
  hangUpAll(lab, to, waiting);

  const findings = await watched.findings(lab, 'accept-queue-full', TIMES);
  expect(sums(findings)).toEqual({ 'accept-queue-full': TIMES });
  expect(findings[0]?.process).toMatchObject({ pid: postgres.pid, comm: 'postgres' });
  expectSeenAs(findings, HOSTS[4].client);
});

it('a pool behind NAT asks on sessions that PostgreSQL ended while they were idle', async () => {
  const lab = watched.lab();
  const from = behindNat(lab);
  await using postgres = await Postgres.start(lab, to);
  const pool = logIn(lab, from, to, TIMES);
  expect(postgres.query(`select pg_terminate_backend(pid) ${CLIENTS}`)).toHaveLength(TIMES);
  awaitAll(pool, POLLRDHUP, 'the end of the session');
  ask(pool, 'select 1');
  awaitReset(pool, 'EPIPE');
  await expectReset(lab, 'data-after-close');
});

it('a backend of PostgreSQL is killed, so all end, with queries unread', async () => {
  const lab = watched.lab();
  const from = behindNat(lab);
  await using postgres = await Postgres.start(lab, to);
  const clients = logIn(lab, from, to, TIMES);
  ask(clients, 'select pg_sleep(60)');
  until('the queries to run', () => {
    return postgres.query(`select pid ${CLIENTS} and wait_event = 'PgSleep'`).length === TIMES;
  });
  ask(clients, 'select 1');
  until('the next queries to wait unread', () => {
    const bytes = unread(lab.server, to);
    return bytes.length === TIMES && bytes.every((one) => one > 0);
  });
  const [victim] = postgres.query(`select pid ${CLIENTS}`);
  process.kill(Number(victim), 'SIGKILL');
  awaitReset(clients, 'ECONNRESET');
  const [found] = await expectReset(lab, 'unread-data-on-close');
  expect(found?.process).toMatchObject({ comm: 'postgres' });
});

/**
 * The server's end has the cause. Behind the NAT the connection has another address: it is known again by its
 * numbers, and the client's end is not told as another failure.
 */
async function expectReset(lab: Lab, cause: string): Promise<Finding[]> {
  const findings = await watched.findings(lab, cause, TIMES);
  expect(sums(findings)).toEqual({ [cause]: TIMES });
  expect(findings.every(({ flow }) => flow.netns === lab.server.inode)).toBe(true);
  expectSeenAs(findings, HOSTS[4].client);
  return findings;
}

/** Where the server is, its clients have this address. */
function expectSeenAs(findings: Finding[], client: string): void {
  for (const { flow } of findings)
    expect([flow.saddr, flow.daddr].sort()).toEqual([HOSTS[4].server, client].sort());
}
