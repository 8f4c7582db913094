// SPDX-License-Identifier: Apache-2.0

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { misfit } from '../schema.ts';
import { opened, pcap, type Row } from '../unit/capture/captures.ts';
import { RECORDINGS, TCPWHY, tcpwhy } from './run.ts';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-explain-'));
afterAll(() => rmSync(folder, { recursive: true }));

const refused = (port: number, at_ms = 0): Row[] => {
  const [client, server] = [`10.4.26.45:${40_000 + port}`, `10.4.26.11:${port}`];
  return [
    { at_ms, from: client, to: server, flags: 'S', seq: 1000 },
    { at_ms: at_ms + 0.1, from: server, to: client, flags: 'R.', seq: 0, ack: 1001, win: 0 },
  ];
};
const BYTES = pcap([...refused(80), ...refused(443, 10)]);
const file = (name: string, bytes: Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};
/** Of pcap: packets follow. */
const FILE_HEAD = 24;
const CAPTURE = file('x.pcap', BYTES);

test('text, and the exit status of a finding', () => {
  const { status, stdout, stderr } = tcpwhy('explain', CAPTURE);
  expect(stderr).toBe('');
  expect(status).toBe(1);
  expect(stdout).toContain(`on packets of`);
  expect(stdout).toContain('W connect-refused');
  expect(stdout).toContain('10.4.26.11:443 refused the connect with a reset');
});

test('a TARGET, and no finding', () => {
  const { status, stdout } = tcpwhy('explain', CAPTURE, ':443', '--json');
  expect(status).toBe(1);
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map(({ type }) => type)).toEqual(['start', 'finding', 'capture', 'summary']);
  expect(lines.map(misfit).filter(Boolean)).toEqual([]);
  expect(lines[0]).toMatchObject({ tier: 'packets', host: CAPTURE, filters: ['port 443'] });
  expect(lines[1]).toMatchObject({ cause: 'connect-refused', where: '10.4.26.11:443' });
  expect(tcpwhy('explain', CAPTURE, ':22').status).toBe(0);
});

test.each([
  ['x.pcap.gz', gzipSync(BYTES)],
  ['x.pcap.zst', zstdCompressSync(BYTES)],
])('%s is read as what is in it', (name, bytes) => {
  const said = (path: string) => tcpwhy('explain', path, '--quiet').stdout;
  expect(said(file(name, bytes))).toBe(said(CAPTURE));
});

const cutOff = /lost: 1 × capture_cut_off/;

test('of what is damaged, or cut off, what comes before is told, and that it is', () => {
  const many = pcap(Array.from({ length: 3000 }, (_, at) => refused(1000 + at, at)).flat());
  const [gzip, zstd] = [gzipSync(many), zstdCompressSync(many)];
  // Of gzip the last eight bytes are a checksum, and a length.
  const damaged = Buffer.concat([gzip.subarray(0, -8), Buffer.alloc(8, 1)]);
  const more = Buffer.concat([gzip, Buffer.from('what is none')]);
  for (const [name, bytes] of Object.entries({ damaged, more })) {
    const { stdout } = tcpwhy('explain', file(`${name}.pcap.gz`, bytes));
    expect(stdout).toMatch(cutOff);
    expect(stdout).toContain('W connect-refused');
  }
  for (const [name, bytes] of Object.entries({ gz: gzip, zst: zstd })) {
    const { stdout } = tcpwhy('explain', file(`cut.pcap.${name}`, bytes.subarray(0, 40)));
    expect(stdout).toMatch(cutOff);
  }
});

test('- is stdin', () => {
  const { status, stdout } = spawnSync(TCPWHY, ['explain', '-', '--quiet'], { input: BYTES });
  expect(status).toBe(1);
  expect(String(stdout)).toContain('connect-refused');
});

test('a finding of a stream is shown while it goes on', async () => {
  const explain = spawn(TCPWHY, ['explain', '-', '--json'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(explain, 'exit');
  explain.stdin.write(BYTES);
  const types: string[] = [];
  for await (const line of createInterface(explain.stdout)) {
    types.push(JSON.parse(line).type);
    if (types.at(-1) === 'finding') explain.stdin.end();
  }
  expect((await ended)[0]).toBe(1);
  expect(types[0]).toBe('start');
  expect(types).toContain('finding');
  expect(types.at(-1)).toBe('summary');
});

test('each finding of a stream is shown before the next packet of it comes', async () => {
  const explain = spawn(TCPWHY, ['explain', '-', '--json'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(explain, 'exit');
  const ports = [80, 81, 82, 83];
  const shown: string[] = [];
  const send = () => {
    const port = ports[shown.length];
    if (port === undefined) explain.stdin.end();
    else
      explain.stdin.write(pcap(refused(port, port)).subarray(shown.length === 0 ? 0 : FILE_HEAD));
  };
  send();
  for await (const line of createInterface(explain.stdout)) {
    const { type, where } = JSON.parse(line);
    // The end would show what had been held.
    if (type !== 'finding' || explain.stdin.writableEnded) continue;
    shown.push(where);
    send();
  }
  expect((await ended)[0]).toBe(1);
  expect(shown).toEqual(ports.map((port) => `10.4.26.11:${port}`));
});

test('a signal ends it, whatever its stdin does', async () => {
  const explain = spawn(TCPWHY, ['explain', '-', '--json'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(explain, 'exit');
  explain.stdin.write(BYTES);
  const types: string[] = [];
  for await (const line of createInterface(explain.stdout)) {
    types.push(JSON.parse(line).type);
    // A second one would end it at once.
    if (types.indexOf('finding') === types.length - 1) explain.kill('SIGINT');
  }
  expect((await ended)[0]).toBe(1);
  expect(types.slice(-2)).toEqual(['capture', 'summary']);
});

test.each(['nobody writes to', 'somebody has open, and writes nothing to'])(
  'a signal ends it where it reads a pipe that %s',
  async (who) => {
    const pipe = join(folder, `pipe ${who}`);
    spawnSync('mkfifo', [pipe]);
    const writer = who.startsWith('nobody')
      ? null
      : spawn('sh', ['-c', 'exec sleep 60 >"$0"', pipe]);
    const explain = spawn(TCPWHY, ['explain', CAPTURE, pipe, '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(explain, 'exit');
    for await (const line of createInterface(explain.stdout)) {
      const { type } = JSON.parse(line);
      // Of the file before it.
      if (type === 'summary' && !explain.killed) explain.kill('SIGINT');
    }
    expect((await ended)[0]).toBe(1);
    writer?.kill();
  },
);

/** A connection that its server resets, as it is seen on one side of a NAT. */
const resetSeen = (client: string, server_isn = 5000, isn = 1000): Row[] => [
  ...opened(client, '10.9.0.9:8080', { isn, server_isn }),
  {
    ...{ at_ms: 9, from: '10.9.0.9:8080', to: client, flags: 'R.' },
    ...{ seq: server_isn + 1, ack: isn + 101 },
  },
];
const INSIDE = file('inside.pcap', pcap(resetSeen('10.0.0.5:4000')));
const OUTSIDE = file('outside.pcap', pcap(resetSeen('192.0.2.7:61000')));

test('what two captures saw of one connection is joined, a translation between them too', () => {
  const { status, stdout } = tcpwhy('explain', INSIDE, OUTSIDE, '--json');
  expect(status).toBe(1);
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map(misfit).filter(Boolean)).toEqual([]);
  const of_each = ['start', 'finding', 'capture', 'summary'];
  expect(lines.map(({ type }) => type)).toEqual([...of_each, ...of_each, 'joined']);
  const joined = lines.at(-1);
  expect(joined).toMatchObject({
    findings: [
      { file: INSIDE, cause: 'reset-by-peer', count: 1 },
      { file: OUTSIDE, cause: 'reset-by-peer', count: 1 },
    ],
    translated: [{ file: INSIDE, here: '10.0.0.5:4000', there: '192.0.2.7:61000', at: [OUTSIDE] }],
  });
  const told = lines.filter(({ type }) => type === 'finding').map(({ id }) => id);
  expect(joined.findings.map(({ id }: { id: string }) => id)).toEqual(told);
  const text = tcpwhy('explain', INSIDE, OUTSIDE, '--quiet').stdout.replaceAll(/\s+/g, ' ');
  expect(text).toContain('The same connections, seen at several places:');
  expect(text).toContain(`10.0.0.5:4000 in ${INSIDE} is 192.0.2.7:61000 in ${OUTSIDE}`);
});

test.each([
  [
    'another first number of the server',
    file('other.pcap', pcap(resetSeen('192.0.2.7:61000', 7000))),
  ],
  ['another connection', file('another.pcap', pcap(resetSeen('192.0.2.7:61000', 5000, 3000)))],
])('what has %s is not joined', (_, path) => {
  expect(tcpwhy('explain', INSIDE, path, '--json').stdout).not.toContain('joined');
});

test('what is read from a pipe is joined too', () => {
  const script = '"$0" explain <(cat "$1") "$2" --json';
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script, TCPWHY, INSIDE, OUTSIDE], {
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([1, '']);
  expect(stdout.match(/"type":"finding"/g)).toHaveLength(2);
  const joined = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
  expect(joined).toMatchObject({ type: 'joined', translated: [{ there: '192.0.2.7:61000' }] });
  expect(joined.findings[1]).toMatchObject({ file: OUTSIDE, cause: 'reset-by-peer' });
});

test('what was captured before a cut is told, and the cut', () => {
  const { status, stdout } = tcpwhy('explain', file('cut.pcap', BYTES.subarray(0, -20)));
  expect(status).toBe(1);
  expect(stdout).toMatch(/lost: 1 × capture_cut_off/);
});

test.each([
  ['a recording', join(RECORDINGS, 'demo.tcpwhy'), /no capture .*tcpwhy replay/],
  ['no file', join(folder, 'nothing.pcap'), /no target/],
  ['a folder', folder, /cannot read/],
])('%s is refused', (_, path, why) => {
  const { status, stdout, stderr } = tcpwhy('explain', path);
  expect(status).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toMatch(why);
});

test('an empty file has no capture in it', () => {
  const { status, stdout } = tcpwhy('explain', file('empty.pcap', Buffer.alloc(0)));
  expect(status).toBe(0);
  expect(stdout).toContain('No failure seen.');
});

// biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal would obey.
const OBEYED = /[\u001b\u202e\u009b]/;
const HOSTILE = 'a\u001b[2Jb\u202e';

test('the name of a file reaches no terminal as it is', () => {
  const { status, stdout } = tcpwhy('explain', file(`${HOSTILE}.pcap`, BYTES));
  expect(status).toBe(1);
  expect(stdout).not.toMatch(OBEYED);
});

test.each([
  ['no capture', file(`${HOSTILE}.txt`, Buffer.from('nothing of it')), ['explain']],
  ['no recording', file(`${HOSTILE}.txt`, Buffer.from('nothing of it')), ['replay']],
  ['none', join(folder, `${HOSTILE}.none`), ['explain']],
  [
    'damaged',
    file(`${HOSTILE}.tcpwhy`, readFileSync(join(RECORDINGS, 'demo.tcpwhy')).subarray(0, 50_000)),
    ['replay'],
  ],
])('nor where it is %s', (_, path, args) => {
  const { stderr } = tcpwhy(...args, path);
  expect(stderr).toContain('a\\x1b[2Jb\\u202e');
  expect(stderr).not.toMatch(OBEYED);
});
