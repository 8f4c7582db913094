// SPDX-License-Identifier: Apache-2.0

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, it } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import noListener from '../../src/lab/scenarios/no-listener.ts';
import { Program } from '../fleet/process.ts';
import { recordings } from '../fleet/recordings.ts';
import { attributesIn, recordsIn } from '../unit/agent/otlp.ts';
import { Receiver } from '../unit/agent/receiver.ts';
import { TCPWHY } from './tcpwhy.ts';

const DISK_BYTES = 2 << 20;
const TIMES = 3;
const HOST_ID = '00000000000000000000000000000019';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-agent-folder-'));
const disk = join(folder, 'disk');
const dir = join(disk, 'state');
mkdirSync(disk);
afterAll(() => rmSync(folder, { recursive: true }));

let lab: Lab;
let receiver: Receiver;
beforeEach(async () => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tcpwhy-test', disk]);
  mkdirSync(dir);
  lab = Lab.open();
  receiver = await Receiver.open();
});
afterEach(async () => {
  await receiver.close();
  lab.close();
  execFileSync('umount', [disk]);
});

const args = () => ['agent', '--dir', dir, '--netns', `${lab.server.inode}`, '--interval', '1s'];
const env = () => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${receiver.port}`,
  OTEL_METRICS_EXPORTER: 'none',
});
async function start(...options: string[]): Promise<Program> {
  const OTEL_RESOURCE_ATTRIBUTES = `host.id=${HOST_ID}`;
  const agent = new Program(TCPWHY, [...args(), ...options], {
    ...env(),
    OTEL_RESOURCE_ATTRIBUTES,
  });
  await agent.says(/watching/);
  return agent;
}

const fail = () => noListener[0]?.run(lab, { times: TIMES, family: 4 });
/** The last count of each finding, by its id. */
const told = () =>
  new Map(
    receiver.requests
      .flatMap(({ body }) => recordsIn(body))
      .map((record) => attributesIn(record))
      .map((one) => [String(one['tcpwhy.finding.id']), Number(one['tcpwhy.count'])]),
  );
const sumTold = (times: number) =>
  expect
    .poll(() => [...told().values()].reduce((sum, count) => sum + count, 0), { timeout: 20_000 })
    .toBe(times);

const names = () => readdirSync(dir).sort();

it('begins on a disk that is full, tells, and records when there is room', async () => {
  const filler = join(disk, 'filler');
  try {
    writeFileSync(filler, Buffer.alloc(2 * DISK_BYTES));
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
  }
  await using agent = await start();
  await agent.says(/ENOSPC.*findings go on, the recording waits/);
  expect(agent.stderr).toMatch(
    /\.cursor: ENOSPC.*: what is told now is told again after a restart/,
  );
  fail();
  await sumTold(TIMES);
  rmSync(filler);
  await agent.says(/the recording is written again/);
  expect(await agent.stop('SIGTERM')).toBe(0);
  const { ids } = await recordings(dir, HOST_ID);
  expect(ids).toEqual(told());
});

it('leaves no file where a recording cannot begin', () => {
  const output = join(disk, 'x.tcpwhy');
  try {
    writeFileSync(join(disk, 'filler'), Buffer.alloc(2 * DISK_BYTES));
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
  }
  const { status, stderr } = spawnSync(TCPWHY, ['record', ':1', '-o', output, '--for', '1s'], {
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([2, expect.stringMatching(/cannot write .*ENOSPC/)]);
  expect(readdirSync(disk)).not.toContain('x.tcpwhy');
});

it('refuses a folder that is read-only, and says so', () => {
  execFileSync('mount', ['-o', 'remount,ro', disk]);
  const { status, stderr } = spawnSync(TCPWHY, args(), { encoding: 'utf8' });
  expect([status, stderr]).toEqual([
    2,
    expect.stringMatching(/^tcpwhy: cannot write in .*\/state, as user 0: EROFS/),
  ]);
});

it('goes on where its folder becomes read-only, tells all, and records again afterwards', async ({
  skip,
}) => {
  const { status } = spawnSync('chattr', ['+i', dir]);
  skip(status !== 0, 'no chattr of tmpfs: Linux 6.6 has it');
  execFileSync('chattr', ['-i', dir]);
  await using agent = await start('--max-age', '2s');
  fail();
  await sumTold(TIMES);
  // No file can be made there, nor deleted: neither the next recording nor the cursor.
  execFileSync('chattr', ['+i', dir]);
  try {
    await agent.says(/: findings go on, the recording waits until it can be written/);
    fail();
    await sumTold(2 * TIMES);
    expect(agent.stderr).toMatch(
      /\.cursor: EPERM.*: what is told now is told again after a restart/,
    );
  } finally {
    execFileSync('chattr', ['-i', dir]);
  }
  await agent.says(/the recording is written again/);
  fail();
  await sumTold(3 * TIMES);
  expect(await agent.stop('SIGTERM')).toBe(0);
  const { ids } = await recordings(dir, HOST_ID);
  expect(new Map([...ids].sort())).toEqual(new Map([...told()].sort()));
  expect(names()).toContain('agent.tcpwhy.zst.cursor');
});

it('gives a host that has no id one, and keeps it', async () => {
  const hidden = ['/etc/machine-id', '/var/lib/dbus/machine-id']
    .map((path) => `[ ! -e ${path} ] || mount --bind /dev/null ${path};`)
    .join(' ');
  const isolated = ['--mount', 'sh', '-ec', `${hidden} exec "$@"`, '-', TCPWHY, ...args()];
  const said = /this host has no id in .*: it is ([0-9a-f]{32}) from now on/;
  const ids: (string | undefined)[] = [];
  for (let run = 0; run < 2; run++) {
    await using agent = new Program('unshare', isolated, env());
    await agent.says(/watching/);
    ids.push(said.exec(agent.stderr)?.[1]);
    fail();
    const [id = ''] = ids;
    await expect
      .poll(() => receiver.requests.filter(({ body }) => body.includes(id)).length, {
        timeout: 20_000,
      })
      .toBeGreaterThan(run);
    expect(await agent.stop('SIGTERM')).toBe(0);
  }
  expect(ids).toEqual([expect.any(String), undefined]);
});
