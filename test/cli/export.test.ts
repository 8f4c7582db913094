// SPDX-License-Identifier: Apache-2.0

import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { HAS_TSHARK, readWithTshark } from '../unit/sinks/export/tshark.ts';
import { RECORDINGS, TCPWHY, tcpwhy } from './run.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const RECORDING = join(RECORDINGS, 'demo.tcpwhy');
const HAS_PROTOBUF =
  spawnSync('/usr/bin/python3', ['-c', 'import google.protobuf']).status === 0 &&
  spawnSync('protoc', ['--version']).status === 0;

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-export-'));
afterAll(() => rmSync(folder, { recursive: true }));
const inFolder = (name: string) => join(folder, name);

interface Line {
  type: string;
  seq: number;
  kind: string;
  cause: string;
  count: number;
  events: number[];
  [kind: string]: unknown;
}

const replayed = tcpwhy('replay', RECORDING, '--json', '--events', '--all').stdout;
const lines: Line[] = replayed
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line));
const events = lines.filter(({ type }) => type === 'event');
/** The causes of an event, as the findings name their events. */
const causesOf = new Map<number, string[]>();
for (const finding of lines.filter(({ type }) => type === 'finding')) {
  for (const seq of finding.events) {
    causesOf.set(seq, [...new Set([...(causesOf.get(seq) ?? []), finding.cause])].sort());
  }
}
const summary = lines.at(-1) as unknown as { findings: Record<string, number> };

function exported(format: string, ...more: string[]): string {
  const file = inFolder(`out.${format}`);
  const { status, stdout, stderr } = tcpwhy(
    'export',
    RECORDING,
    '--to',
    format,
    '-o',
    file,
    '--force',
    ...more,
  );
  expect({ status, stdout }, stderr).toEqual({ status: 0, stdout: '' });
  return file;
}

test('ndjson is what replay prints', () => {
  const { stdout } = tcpwhy('replay', RECORDING, '--json', '--events');
  expect(readFileSync(exported('ndjson'), 'utf8')).toBe(stdout);
  expect(tcpwhy('export', RECORDING, '--to', 'ndjson').stdout).toBe(stdout);
});

test('csv has a row for each event, as another language reads it', () => {
  const script =
    'import csv,json,sys; print(json.dumps(list(csv.DictReader(sys.stdin,strict=True))))';
  const input = readFileSync(exported('csv'));
  const output = execFileSync('python3', ['-c', script], { input, encoding: 'utf8' });
  const rows: Record<string, string>[] = JSON.parse(output);
  expect(rows.map(({ seq, kind }) => ({ seq, kind }))).toEqual(
    events.map(({ seq, kind }) => ({ seq: String(seq), kind })),
  );
  const explained = rows.filter(({ seq }) => causesOf.has(Number(seq)));
  expect(explained.length).toBeGreaterThan(50);
  for (const { seq, cause } of explained)
    expect(cause?.split('; ').sort()).toEqual(causesOf.get(Number(seq)));
});

describe.skipIf(!HAS_TSHARK)('pcapng, as tshark reads it (tools/setup installs it)', () => {
  const FIELDS = ['tcp.srcport', 'tcp.dstport', 'tcp.seq', 'tcp.flags', 'frame.comment'];

  test('has each segment that an event tells of, with its cause', () => {
    const packets = readWithTshark(exported('pcapng'), FIELDS);
    const causes = packets.map((packet) => ({
      key: FIELDS.slice(0, 4).map((field) => Number(packet[field])),
      cause: packet['frame.comment']?.match(/^([a-z-]+) \(/)?.[1],
    }));
    const segments = events.flatMap((event) => {
      const body = event[event.kind] as { packet?: Packet | null };
      const { packet } = body;
      const causes = causesOf.get(event.seq) ?? [];
      return packet ? causes.map((cause) => ({ key: keyOf(packet), cause })) : [];
    });
    expect(new Set(segments.map(({ cause }) => cause)).size).toBeGreaterThanOrEqual(12);
    for (const segment of segments) expect(causes).toContainEqual(segment);
  });

  test('tells how often each cause was, by a filter on the comment', () => {
    const file = exported('pcapng');
    const filter = ['-r', file, '-Y', 'frame.comment contains "accept-queue-full (error)"'];
    const found = execFileSync('tshark', filter, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    expect(found.trimEnd().split('\n')).toHaveLength(summary.findings['accept-queue-full'] ?? 0);
  });

  test('has no packet with a checksum that is wrong', () => {
    const packets = readWithTshark(exported('pcapng'), [
      'tcp.len',
      'tcp.checksum.status',
      'ip.checksum.status',
    ]);
    const whole = packets.filter((packet) => packet['tcp.len'] === '0');
    expect(whole.length).toBeGreaterThan(10);
    expect(whole.map((packet) => packet['tcp.checksum.status'])).not.toContain('0');
    expect(packets.map((packet) => packet['ip.checksum.status'])).not.toContain('0');
  });
});

interface Packet {
  flow: { sport: number; dport: number };
  seq: number;
  flags: number;
}

function keyOf({ flow, seq, flags }: Packet): number[] {
  return [flow.sport, flow.dport, seq, flags];
}

test.skipIf(!HAS_PROTOBUF)(
  'protobuf, as another language reads it (tools/setup installs it)',
  () => {
    const output = execFileSync('tools/decode-with-protoc.py', ['Header', 'Event'], {
      cwd: REPOSITORY,
      input: readFileSync(exported('protobuf')),
      encoding: 'utf8',
      maxBuffer: 64 << 20,
    });
    const [header, ...messages] = output
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(header).toMatchObject({
      magic: 'tcpwhy',
      host: lines[0]?.host,
      kernel: lines[0]?.kernel,
    });
    expect(messages.at(-1)).toHaveProperty('footer');
    const seqs = (list: { kind: string }[]) => list.filter(({ kind }) => kind === 'drop').length;
    const drops = messages.filter((message) => 'drop' in message);
    expect(drops).toHaveLength(seqs(events));
    expect(new Set(drops.map(({ drop }) => JSON.stringify(keyOf(drop.packet))))).toEqual(
      new Set(
        events.flatMap(({ drop }) =>
          drop ? [JSON.stringify(keyOf((drop as { packet: Packet }).packet))] : [],
        ),
      ),
    );
  },
);

test('protobuf is a recording again', () => {
  const { stdout } = tcpwhy('replay', exported('protobuf'), '--json', '--events', '--all');
  expect(stdout).toBe(replayed);
});

describe('a recording that is damaged', () => {
  const cut = inFolder('cut.tcpwhy');
  copyFileSync(RECORDING, cut);
  truncateSync(cut, 100_000);

  test.each(['ndjson', 'csv', 'pcapng', 'protobuf'])(
    'is exported up to the damage as %s, and named',
    (format) => {
      const { status, stdout, stderr } = tcpwhy('export', cut, '--to', format);
      expect(stderr).toMatch(/cut\.tcpwhy: \d+ bytes at byte \d+: cut off/);
      expect(status).toBe(0);
      expect(stdout.length).toBeGreaterThan(10_000);
    },
  );
});

describe('the file that is written', () => {
  test('gets its name when it is whole, and nobody else may read it', () => {
    rmSync(inFolder('out.csv'), { force: true });
    exported('csv');
    expect(readFileSync(inFolder('out.csv'), 'utf8')).toMatch(/^time_utc,/);
    expect(statSync(inFolder('out.csv')).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder).filter((name) => name.includes('part'))).toEqual([]);
  });

  const save = (name: string, ...more: string[]) =>
    tcpwhy('export', RECORDING, '--to', 'csv', '-o', inFolder(name), ...more);

  test('replaces one that was there only where it is told to', () => {
    writeFileSync(inFolder('old.csv'), 'old');
    const { status, stderr } = save('old.csv');
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: `tcpwhy: ${inFolder('old.csv')} exists: give another name, or --force to replace it\n`,
    });
    expect(readFileSync(inFolder('old.csv'), 'utf8')).toBe('old');
    expect(save('old.csv', '--force').status).toBe(0);
    expect(readFileSync(inFolder('old.csv'), 'utf8')).toMatch(/^time_utc,/);
  });

  test.each(['target', 'nowhere'])('does not follow a link to %s', (target) => {
    const link = `link-to-${target}`;
    writeFileSync(inFolder('target'), 'old');
    symlinkSync(target, inFolder(link));
    expect(save(link).status).toBe(2);
    expect(save(link, '--force').status).toBe(0);
    expect(lstatSync(inFolder(link)).isFile()).toBe(true);
    expect(readFileSync(inFolder('target'), 'utf8')).toBe('old');
    expect(existsSync(inFolder('nowhere'))).toBe(false);
  });

  test('may be a device', () => {
    expect(tcpwhy('export', RECORDING, '--to', 'csv', '-o', '/dev/null').status).toBe(0);
    expect(lstatSync('/dev/null').isCharacterDevice()).toBe(true);
  });

  test('may be stdout by its other name, or another pipe', () => {
    const csv = tcpwhy('export', RECORDING, '--to', 'csv').stdout;
    const piped = (...args: string[]) =>
      spawnSync('bash', ['-c', ...args], { encoding: 'utf8', maxBuffer: 64 << 20 }).stdout;
    const script = `"${TCPWHY}" export "${RECORDING}" --to csv -o`;
    expect(piped(`${script} /dev/stdout | cat`)).toBe(csv);
    expect(piped(`${script} >(cat) | cat`)).toBe(csv);
  });

  test('may be a pipe that its reader closes', () => {
    const script = `"${TCPWHY}" export "${RECORDING}" --to ndjson | head -c 10; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
    expect({ stdout, stderr }).toEqual({ stdout: '{"type":"s141\n', stderr: '' });
  });
});

describe('what cannot be done says what, and ends with 2', () => {
  const copy = inFolder('copy.tcpwhy');
  copyFileSync(RECORDING, copy);

  test.each([
    [['/no/such/file', '--to', 'csv'], /\/no\/such\/file is no file/],
    [[RECORDING, '--to', 'xml'], /--to xml: ndjson, csv, pcapng, protobuf/],
    [[RECORDING, '--to', 'constructor'], /--to constructor: ndjson/],
    [[RECORDING], /required option '--to/],
    [[RECORDING, '--to', 'csv', '-o', '/no/such/folder/x'], /cannot write \/no\/such\/folder\/x/],
    [[RECORDING, '--to', 'csv', '-o', folder], /is a directory/],
    [
      [RECORDING, '--to', 'csv', '-o', '/dev/full'],
      /cannot write \/dev\/full: .*no space.*make room/s,
    ],
    [[copy, '--to', 'csv', '-o', copy], /is the recording itself/],
  ])('%j', (args, message) => {
    const { status, stdout, stderr } = tcpwhy('export', ...args);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(existsSync(copy) && readFileSync(copy).equals(readFileSync(RECORDING))).toBe(true);
  });
});
