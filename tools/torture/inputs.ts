// SPDX-License-Identifier: Apache-2.0

import {
  closeSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { encodeEvent, encodeHeader } from '../../src/wire/decode.ts';
import { type Json, readFixture } from '../../test/unit/causes/fixture.ts';
import { type CROWDS, crowd } from './crowd.ts';
import { watched } from './watched.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const PATIENCE_S = 300;
/** Beyond reading it once: of the largest that is a few seconds too. */
const MOST_S = 20;
const MOST_MIB = 256;
/** What reading an event takes: of a million that is most of it. */
const MOST_OF_EVENT_S = 1e-4;

const { header } = readFixture('no-listener', 'fires');
const HEADER = Buffer.from(encodeHeader(header));

const CROWDED: readonly [
  what: string,
  kind: keyof typeof CROWDS,
  count: number,
  ticks?: boolean,
][] = [
  ['a million services that refuse one client each', 'services', 1_000_000],
  ['100 000 clients that one service refuses', 'clients', 100_000],
  ['100 000 network namespaces with a refusal in each', 'namespaces', 100_000],
  ['100 000 services, of six causes in turn', 'causes', 100_000],
  ['the same without a tick', 'causes', 100_000, false],
];

/** Recordings that a stranger may send, by what is wrong with them. */
const INPUTS: Record<string, (path: string) => string> = {
  'an event of 1 GiB in a small file': (path) =>
    written(path, zstd(HEADER), zstd(varint(GIB)), zeros(GIB)),
  'an event that says it has 4 GiB': (path) => written(path, HEADER, varint(4 * GIB), HEADER),
  '4 GiB of zeros in a small file': (path) => written(path, zstd(HEADER), zeros(4 * GIB)),
  'zeros without an end': () => '/dev/zero',
  '10 000 empty frames of zstd': (path) =>
    written(path, zstd(HEADER), ...Array.from({ length: 10_000 }, () => zstd(Buffer.alloc(0)))),
  '16 MiB of noise behind a header': (path) => written(path, HEADER, noise(16 * MIB)),
  '2000 events of 900 KiB each': (path) =>
    written(path, zstd(HEADER), ...large((line) => ({ kernel_said: { line } }))),
  '2000 names of 900 KiB each': (path) =>
    written(
      path,
      zstd(HEADER),
      ...large((name, number) => ({ fact: { symbol: { address: String(1 + number), name } } })),
    ),
  ...Object.fromEntries(
    CROWDED.map(([what, kind, count, ticks]) => [
      what,
      (path: string) => crowded(path, kind, count, ticks),
    ]),
  ),
};

/** What is done with each; `top` until somebody asks it to end. */
const COMMANDS: Record<string, (tcpwhy: string, file: string) => string> = {
  replay: (tcpwhy, file) => `exec ${tcpwhy} replay ${file} --json`,
  report: (tcpwhy, file) => `exec ${tcpwhy} report ${file} -o ${file}.html --force`,
  export: (tcpwhy, file) => `exec ${tcpwhy} export ${file} --to pcapng -o /dev/null`,
  top: (tcpwhy, file) =>
    `(sleep 4; printf q) | TERM=xterm script -qec '${tcpwhy} top --from ${file}' /dev/null`,
};

export interface Read {
  what: string;
  command: string;
  bytes: number;
  status: number | null;
  /** Of its processors. */
  cpu_s: number;
  peak_mib: number;
  /** Empty: as it should be. */
  wrong: string;
}

export async function* inputs(tcpwhy: string): AsyncGenerator<Read> {
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-torture-'));
  const events = new Map(CROWDED.map(([what, , count]) => [what, count]));
  try {
    for (const [what, make] of Object.entries(INPUTS)) {
      const file = make(join(folder, 'x.tcpwhy'));
      // A report has its page beside it.
      const seen = file.startsWith(folder) ? file : join(folder, 'x.tcpwhy');
      const bytes = statSync(file).size;
      for (const [command, line] of Object.entries(COMMANDS)) {
        const { status, stdout, stderr, cpu_s, peak_mib } = await watched(
          line(tcpwhy, file).replace(`${file}.html`, `${seen}.html`),
          PATIENCE_S,
        );
        const wrong = [
          ...(status === null || status > 2 ? [`status ${status}`] : []),
          ...(/\n\s+at /.test(stderr + (command === 'top' ? stdout : '')) ? ['a stack trace'] : []),
          ...(cpu_s > MOST_S + (events.get(what) ?? 0) * MOST_OF_EVENT_S
            ? [`${Math.round(cpu_s)} s`]
            : []),
          ...(peak_mib > MOST_MIB ? [`${peak_mib} MiB`] : []),
        ].join(', ');
        yield { what, command, bytes, status, cpu_s, peak_mib, wrong };
      }
      rmSync(seen, { force: true });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function crowded(path: string, kind: keyof typeof CROWDS, count: number, ticks?: boolean): string {
  const fd = openSync(path, 'w');
  for (const part of crowd(kind, count, ticks)) writeSync(fd, zstd(part));
  closeSync(fd);
  return path;
}

function written(path: string, ...pieces: Uint8Array[]): string {
  writeFileSync(path, '');
  const fd = openSync(path, 'w');
  for (const piece of pieces) writeSync(fd, piece);
  closeSync(fd);
  return path;
}

const zstd = (bytes: Uint8Array) => zstdCompressSync(bytes);

function* large(told: (text: string, number: number) => Json): Generator<Uint8Array> {
  const text = 'x'.repeat(900 * 1024);
  for (let i = 0; i < 2000; i++)
    yield zstd(encodeEvent({ ktime_ns: String(1e9 + i * 1e5), ...told(text, i) }));
}

/** So many zeros, as a frame of blocks of one repeated byte. */
function zeros(bytes: number): Buffer {
  const blocks = bytes / 2 ** 17;
  const frame = Buffer.alloc(6 + 4 * blocks);
  frame.set([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]);
  for (let i = 0; i < blocks; i++)
    frame.writeUIntLE(((2 ** 17) << 3) | (1 << 1) | Number(i === blocks - 1), 6 + 4 * i, 3);
  return frame;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    bytes.push((left % 128) | (left >= 128 ? 128 : 0));
    if (left < 128) return Buffer.from(bytes);
  }
}

/** The same each time. */
function noise(bytes: number): Buffer {
  const noise = Buffer.alloc(bytes);
  let state = 1;
  for (let at = 0; at < bytes; at += 4) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223;
    noise.writeInt32LE(state | 0, at);
  }
  return noise;
}
