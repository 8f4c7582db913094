// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { VERSION } from '../../src/version.ts';
import { RECORDINGS, TCPWHY, tcpwhy } from './run.ts';

const RECORDING = join(RECORDINGS, 'demo.tcpwhy');

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** As with so little of what `ulimit` limits. */
const limited = (limit: string, ...args: string[]) =>
  spawnSync('sh', ['-c', `ulimit ${limit}; exec "$0" "$@"`, TCPWHY, ...args], { encoding: 'utf8' });

test.each([
  ['-n 20', /may have 20 open files, and it takes 32\. Raise the limit \(ulimit -n\)/],
  ['-v 1048576', /may have 1048576 KiB of addresses, and it takes \d+\. Raise the limit/],
  ['-d 400000', /may have 400000 KiB of data, and it takes \d+\. Raise the limit/],
  ['-s 64', /may have 64 KiB of stack, and it takes \d+\. Raise the limit/],
])('too little to run with, ulimit %s, is said', (limit, said) => {
  const { status, stdout, stderr } = limited(limit, 'replay', RECORDING);
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(said);
  expect(stderr).not.toMatch(/\n./);
});

test('with a little more recordings are read', () => {
  const { status, stderr } = limited(
    '-n 32; ulimit -v 1572864; ulimit -d 1048576; ulimit -s 1024',
    'replay',
    RECORDING,
  );
  expect([status, stderr]).toEqual([1, '']);
});

describe('wrong use says what, and ends with 2', () => {
  test.each([
    [['trace', '99999'], /99999 is no port/],
    [['trace', 'example'], /example is no target/],
    [['trace', '10.0.0.0/40'], /0 to 32 bits/],
    [['trace', ...Array.from({ length: 17 }, (_, i) => `${i + 1}`)], /17 targets: at most 16/],
    [['trace', '--quiet', '--json'], /--quiet and --json/],
    [['trace', '--max-size', '1M'], /--max-size needs -o FILE/],
    [['trace', '--force'], /--force needs -o/],
    [['record', '-o', 'package.json'], /package\.json exists: .*--force/],
    [['replay', RECORDING, 'no/such/file'], /no\/such\/file is no file .*no target/],
    [['replay', '3306'], /no recording is given/],
    [['replay', RECORDING, '--first'], /unknown option '--first'/],
    [['replay', RECORDING, '--verbose'], /unknown option '--verbose'/],
    [['replay', RECORDING, '--netns', 'web'], /inode number/],
    [['export', RECORDING, ':80', '--to', 'protobuf'], /takes no TARGET/],
    [['export', RECORDING, RECORDING, '--to', 'csv'], /one recording at a time/],
    [['export', RECORDING, '--to', 'csv', '--force'], /--force needs -o/],
    [['report', RECORDING, '--force'], /--force needs -o/],
    [['report', '--from', 'file.tcpwhy'], /--from: no URL of http or https/],
    [['report', '--from', 'http://127.0.0.1:1', "3306' OR 1=1 --"], /is no file .* and no target/],
    [['report', '--from', 'http://127.0.0.1:1', '10.0.0.5) or *'], /is no file .* and no target/],
    [['report', '--from', 'http://127.0.0.1:1', '--cause', '") or *'], /no such cause/],
    [['report', '--from', 'http://127.0.0.1:1', RECORDING], /--from and .* together/],
    [['report', '--from', 'http://127.0.0.1:1', '--anonymize'], /--from and --anonymize together/],
    [
      ['report', '--from', 'http://user:secret@127.0.0.1:2'],
      /^tcpwhy: 127\.0\.0\.1:2: connect ECONNREFUSED/,
    ],
    [['report', RECORDING, '--since', '1h'], /--since needs --from URL/],
    [['lab', '--times', '3'], /--times needs a SCENARIO/],
    [['top', '--json'], /unknown option '--json'/],
    [['top', '--first'], /unknown option '--first'/],
    [['trace', '--host', '10.0.0'], /10\.0\.0 is no address/],
    [['trace', '--netns', 'no-such-netns'], /no such namespace/],
    [['trace', '--for', 'soon'], /soon is no duration/],
    [['trace', '--cause', 'bad-luck'], /bad-luck: no such cause/],
    [['trace', '--fail-on', 'never'], /error, warning or info/],
    [['trace', '--bogus'], /unknown option/],
    [['causes', 'bad-luck'], /no cause bad-luck/],
    [['record'], /required option/],
    [['lab', 'bad-luck'], /no scenario bad-luck/],
    [['lab', 'no-listener', 'rp-filter'], /one scenario at a time/],
    [['lab', '--write', '/tmp/x'], /--write needs --all/],
    [['lab', '--all', '--force'], /--force needs --write FILE/],
    [['lab', '--tier', 'best', 'no-listener'], /hooks or tracepoints/],
    [['lab', '--times', '0', '--all'], /1 to 1000/],
    [['replay', '/no/such/file'], /cannot read \/no\/such\/file/],
    [['top'], /top needs a terminal/],
    [['top', '--from', RECORDING, '--toa-kind', '200'], /--from and --toa-kind together/],
    [['top', '--from', RECORDING, '--no-host-name'], /--no-host-name/],
    [['agent', '--keep', '100K'], /--keep 100K: at least 1M/],
    [['agent', '--interval', '100ms'], /--interval 100ms: from 1s to 24h/],
    [['agent', '--interval', '1000h'], /--interval 1000h: from 1s to 24h/],
    [['agent', '--prometheus', 'localhost'], /localhost is no address to listen at/],
    [
      ['agent', '--dir', 'package.json/x'],
      /cannot write in package\.json\/x, as user \d+: ENOTDIR/,
    ],
    [['bogus'], /unknown command/],
  ])('%j', (args, message) => {
    const { status, stdout, stderr } = tcpwhy(...args);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });
});

test('what the environment sets wrong is said, and ends with 2', () => {
  const env = { ...process.env, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' };
  const { status, stderr } = spawnSync(TCPWHY, ['agent'], { encoding: 'utf8', env });
  expect([status, stderr]).toEqual([
    2,
    'tcpwhy: OTEL_EXPORTER_OTLP_PROTOCOL=grpc: only http/protobuf (port 4318) is spoken\n',
  ]);
});

describe('a file that is no recording', () => {
  test.each([
    ['empty', Buffer.alloc(0), /ends within its header/],
    ['text', Buffer.from('root:x:0:0\n'.repeat(100)), /does not begin with a header/],
    ['zeros', Buffer.alloc(5000), /does not begin with a header/],
    ['a length and nothing more', Buffer.from([0x80, 0x01]), /ends within its header/],
  ])('%s', (name, bytes, message) => {
    const file = join(folder, name);
    writeFileSync(file, bytes);
    const { status, stderr } = tcpwhy('replay', file);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });
});

describe('what needs no kernel', () => {
  test('causes lists every cause in 80 columns', () => {
    const { status, stdout } = tcpwhy('causes');
    expect(status).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.length).toBeGreaterThanOrEqual(17);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
  });

  test('help and version end with 0', () => {
    expect(tcpwhy('--help').status).toBe(0);
    expect(tcpwhy('trace', '--help').stdout).toMatch(/--fail-on/);
    expect(tcpwhy('--version').stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

test('the caller’s surroundings choose nothing of what is run', () => {
  for (const program of ['readlink', 'dirname', 'node'])
    writeFileSync(join(folder, program), '#!/bin/sh\necho chosen by the caller\n', { mode: 0o755 });
  writeFileSync(join(folder, 'required.cjs'), 'process.stdout.write("chosen by the caller")');
  const env = {
    PATH: `${folder}:${process.env.PATH}`,
    NODE_OPTIONS: `--require ${join(folder, 'required.cjs')}`,
  };
  const { stdout, stderr } = spawnSync(TCPWHY, ['--version'], { env, encoding: 'utf8' });
  expect({ stdout: stdout.trim(), stderr }).toEqual({ stdout: VERSION, stderr: '' });
});
