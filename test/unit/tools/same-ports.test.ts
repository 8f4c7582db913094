// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const SAME_PORTS = join(import.meta.dirname, '../../../tools/same-ports');

/** In a network namespace where nobody else listens. */
const ALONE = ['unshare', '--user', '--map-root-user', '--net'];
const alone = (...command: string[]) => {
  const [program = '', ...args] = [...ALONE, ...command];
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return { status, stdout, stderr };
};
const nowhere = alone('true').status === 0 ? null : 'this user may make no namespaces';

/** Leaves a process that listens, and prints its number and its port; or ends it before, and so itself, with 3. */
const leaves = (host: string, ends: boolean) => `
  const listens = "process.title = 'left'; require('net').createServer().listen(0, '${host}', function () {" +
    "console.log(process.pid, this.address().port) })";
  const child = require('child_process').spawn(process.execPath, ['-e', listens], {
    detached: true, stdio: ['ignore', 'pipe', 'ignore'],
  });
  child.stdout.once('data', (text) => {
    process.stdout.write(text);
    child.once('exit', () => process.exit(3));
    if (${ends}) child.kill();
    else process.exit(3);
  });
`;
const run = (host: string, ends: boolean) =>
  alone(SAME_PORTS, '0', process.execPath, '-e', leaves(host, ends));

test.skipIf(nowhere).each(['127.0.0.1', '::'])(
  'says who listens at %s and did not before',
  (host) => {
    const { status, stdout, stderr } = run(host, false);
    const [pid = '', port] = stdout.trim().split(' ');
    process.kill(Number(pid));
    const named = `port ${port} was not listened to before, and is now, by left (${pid})`;
    expect([status, stderr]).toEqual([1, `same-ports: ${named}\n`]);
  },
);

test.skipIf(nowhere)('gives the status of the command where nobody does', () => {
  const { status, stdout, stderr } = run('127.0.0.1', true);
  expect([status, stdout, stderr]).toEqual([3, expect.stringMatching(/^\d+ \d+\n$/), '']);
});
