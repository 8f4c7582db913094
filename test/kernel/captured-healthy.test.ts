// SPDX-License-Identifier: Apache-2.0
//
// Captures of programs that do well, with and without a path that loses: of these nothing is found that is not of
// the loss.

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { CAUSES } from '../../src/causes/registry.gen.ts';
import { Lab } from '../../src/lab/lab.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { nginx } from '../software/nginx.ts';
import { lacksPostgres, Postgres, programOfPostgres } from '../software/postgres.ts';
import { lacking, Service } from '../software/service.ts';
import { Tcpdump } from '../software/tcpdump.ts';
import { type Captured, type Finding, Running } from './tcpwhy.ts';

/** Where a program goes on for as long as it is let: so many packets at most, and so many seconds. */
const MOST_PACKETS = 20_000;
const MOST_S = 6;
const LOSS = { none: 0, 'of five in a hundred': 5 } as const;
/** The same may be lost again and again. */
const OF_LOSS: ReadonlySet<string> = new Set(
  CAUSES.filter(({ symptom }) => symptom).map(({ id }) => id),
);

type Loss = keyof typeof LOSS;
const LOSSES = Object.keys(LOSS) as Loss[];

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-healthy-'));
afterAll(() => rmSync(folder, { recursive: true }));

function lose(lab: Lab, loss: Loss): void {
  if (LOSS[loss] === 0) return;
  const rule = `numgen random mod 100 < ${LOSS[loss]} drop`;
  const table = `table inet lab { chain loses { type filter hook input priority 0; meta l4proto tcp ${rule}; }; }`;
  for (const netns of [lab.client, lab.server]) netns.exec('nft', ['-f', '-'], table);
}

async function dumps(lab: Lab, args?: string[]): Promise<Tcpdump[]> {
  return Promise.all(
    [lab.client, lab.server].map((end) =>
      Tcpdump.start(end, join(folder, `${end.name}.pcap`), args),
    ),
  );
}

/** What is found in captures that is worth a warning, but for what the loss explains. All have `least` segments. */
async function wrongIn(files: readonly Tcpdump[], loss: Loss, least: number) {
  const found: Finding[] = [];
  for (const { file } of files) {
    const { findings, objects } = await (await Running.start(['explain', file])).ended();
    const [capture] = objects.filter((one): one is Captured => one.type === 'capture');
    expect(capture?.segments).toBeGreaterThan(least);
    found.push(...findings);
  }
  return found
    .filter(({ severity, cause }) => severity !== 'info' && !(LOSS[loss] > 0 && OF_LOSS.has(cause)))
    .map(({ cause, summary, evidence }) => ({ cause, summary, evidence }));
}

it.for(LOSSES)('wrk and nginx, loss: %s', async (loss, { skip }) => {
  const missing = lacking('nginx', 'wrk', 'tcpdump', 'nft');
  skip(missing !== null, missing ?? '');
  using lab = Lab.open();
  await using _nginx = await nginx(lab, { port: 80 });
  lose(lab, loss);
  // It ends in the midst of the load, as captures do. What there was no room for is as if it had been lost.
  const ends = ['-s', '200', '-c', String(MOST_PACKETS), '-G', String(MOST_S), '-W', '1'];
  const files = await dumps(lab, ends);
  const loads = [HOSTS[4].server, `[${HOSTS[6].server}]`].flatMap((host) =>
    ['keep-alive', 'close'].map((how) => {
      const args = ['-t1', '-c8', '-d60s', '-H', `Connection: ${how}`, `http://${host}/`];
      return new Service(lab.client, ['wrk', ...args]);
    }),
  );
  await Promise.all(files.map((file) => file.over()));
  for (const load of loads) await load.stop();
  expect(await wrongIn(files, loss, 2000)).toEqual([]);
});

it.for(LOSSES)('a git clone over TLS on loopback, loss: %s', async (loss, { skip }) => {
  const missing = lacking('nginx', 'git', 'openssl', 'tcpdump', 'nft');
  skip(missing !== null, missing ?? '');
  using lab = Lab.open();
  const work = mkdtempSync(join(folder, 'git-'));
  repositoryIn(work);
  await using _nginx = await nginx(lab, {
    port: 443,
    server: `
      listen 8443 ssl;
      ssl_certificate ${work}/cert.pem;
      ssl_certificate_key ${work}/key.pem;
      root ${work};`,
  });
  lose(lab, loss);
  const files = await dumps(lab);
  const clone = ['clone', 'https://127.0.0.1:8443/repository.git', join(work, 'cloned')];
  const git = new Service(lab.server, ['git', '-c', 'http.sslVerify=false', ...clone]);
  expect(await git.over(), git.said).toBe(0);
  for (const file of files) await file.stop();
  expect(await wrongIn(files.slice(1), loss, 100)).toEqual([]);
});

it.for(LOSSES)('pgbench and PostgreSQL, loss: %s', async (loss, { skip }) => {
  const missing = lacking('tcpdump', 'nft') ?? lacksPostgres();
  skip(missing !== null, missing ?? '');
  using lab = Lab.open();
  const to = { address: HOSTS[4].server, port: 5432 };
  await using _postgres = await Postgres.start(lab, to);
  const pgbench = (...args: string[]) =>
    new Service(lab.client, [programOfPostgres('pgbench'), ...args], {
      PGHOST: to.address,
      PGPORT: String(to.port),
      PGUSER: 'postgres',
    });
  const init = pgbench('-i', '-q', 'postgres');
  expect(await init.over(), init.said).toBe(0);
  lose(lab, loss);
  const files = await dumps(lab);
  // Half of them with a connection for each transaction.
  const runs = [[], ['-C']].map((how) => pgbench('-n', '-S', '-c4', '-T3', ...how, 'postgres'));
  for (const run of runs) expect(await run.over(), run.said).toBe(0);
  for (const file of files) await file.stop();
  expect(await wrongIn(files, loss, 500)).toEqual([]);
});

/** A repository that any web server serves, and a certificate. */
function repositoryIn(work: string): void {
  const source = join(work, 'source');
  mkdirSync(source);
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { cwd: source, stdio: 'pipe' });
  run('git', 'init', '-q');
  for (const name of ['one', 'two']) {
    writeFileSync(join(source, name), randomBytes(2 << 20));
    run('git', 'add', name);
    const who = ['-c', 'user.name=test', '-c', 'user.email=test@example.org'];
    run('git', ...who, 'commit', '-q', '-m', name);
  }
  run('git', 'clone', '-q', '--bare', source, join(work, 'repository.git'));
  run('git', '--git-dir', join(work, 'repository.git'), 'update-server-info');
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', join(work, 'key.pem')];
  const cert = ['-x509', '-days', '1', '-subj', '/CN=test', '-out', join(work, 'cert.pem')];
  run('openssl', 'req', ...key, ...cert);
}
