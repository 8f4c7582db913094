// SPDX-License-Identifier: Apache-2.0

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { RecordedStream } from '../../src/record/read.ts';
import { Recording } from '../../src/record/write.ts';
import { encodeEvent } from '../../src/wire/decode.ts';
import { headerWith } from '../unit/causes/fixture.ts';
import { packetEvent, tick } from '../unit/diagnose/events.ts';
import { Output, Running, TCPWHY } from './tcpwhy.ts';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-recorder-'));
afterAll(() => rmSync(folder, { recursive: true }));

const AT_ONCE = 10;
const PAUSE_MS = 5;

/** Records what happens in the lab, and nothing else. */
function sample(lab: Lab, file: string, ...options: string[]): Promise<Running> {
  return Running.start(['record', '-o', file, '--netns', String(lab.server.inode), ...options]);
}

function record(lab: Lab, file: string, ...options: string[]): Promise<Running> {
  return sample(lab, file, '--every-record', ...options);
}

/** Makes refused connects until told to stop; how many there were by which time. */
async function load(lab: Lab, until: () => boolean, most = Number.POSITIVE_INFINITY) {
  using socket = lab.socket(lab.client, { family: 4 });
  const made: { times: number; at_ms: number }[] = [];
  for (let times = 0; times < most && !until(); ) {
    if (socket.connect(HOSTS[4].server, 3306).error === 'ECONNREFUSED') times++;
    if (times % AT_ONCE !== 0) continue;
    made.push({ times, at_ms: performance.now() });
    await pause(PAUSE_MS);
  }
  return made;
}

function replay(...files: string[]): { output: Output; stderr: string } {
  const { stdout, stderr } = spawnSync(TCPWHY, ['replay', '--json', ...files], {
    encoding: 'utf8',
    maxBuffer: 256 << 20,
  });
  const output = new Output();
  for (const line of stdout.trimEnd().split('\n')) output.add(line);
  return { output, stderr };
}

it.each(['x.tcpwhy', 'x.tcpwhy.zst'])(
  '%s lacks at most the last second after kill -9 under load',
  async (name) => {
    const file = join(folder, name);
    using lab = Lab.open();
    await using tcpwhy = await record(lab, file);
    const end = performance.now() + 4000;
    const made = await load(lab, () => performance.now() > end);
    process.kill(tcpwhy.pid, 'SIGKILL');
    const killed_ms = performance.now();
    const { output, stderr } = replay(file);
    const due = made.filter(({ at_ms }) => at_ms < killed_ms - 1000).at(-1);
    expect(due?.times).toBeGreaterThan(100);
    expect(output.count('no-listener')).toBeGreaterThanOrEqual(due?.times ?? 0);
    expect(output.count('no-listener')).toBeLessThanOrEqual(made.at(-1)?.times ?? 0);
    expect(output.objects).toContainEqual(expect.objectContaining({ name: 'recording_cut_off' }));
    expect(stderr).toMatch(/at byte \d+: ends without a footer/);
  },
);

it.each([
  ['x.tcpwhy', '--max-size', '96K', record],
  ['x.tcpwhy.zst', '--max-age', '1s', record],
  ['x.tcpwhy', '--max-age', '1s', sample],
] as const)(
  'goes on in %s after %s %s: each is complete, and together they have it all',
  async (name, limit, most, watch) => {
    const rotated = join(folder, 'rotated');
    rmSync(rotated, { recursive: true, force: true });
    mkdirSync(rotated);
    using lab = Lab.open();
    await using tcpwhy = await watch(lab, join(rotated, name), limit, most, '--keep', '100');
    const made = await load(lab, () => false, 4000);
    const times = made.at(-1)?.times ?? 0;
    await tcpwhy.until((output) => output.count('no-listener') >= times, 5000);
    const live = await tcpwhy.stop();
    const files = readdirSync(rotated).sort();
    expect(files.length).toBeGreaterThan(2);
    const parts = files.map((one) => replay(join(rotated, one)));
    for (const { stderr } of parts) expect(stderr).toBe('');
    const found = parts.map(({ output }) => output.count('no-listener'));
    expect(found.reduce((a, b) => a + b)).toBe(times);
    expect(live.count('no-listener')).toBe(times);
  },
);

it('keeps no more files than it shall', async () => {
  const base = join(folder, 'kept.tcpwhy');
  using lab = Lab.open();
  await using tcpwhy = await record(lab, base, '--max-size', '64K', '--keep', '3');
  await load(lab, () => false, 3000);
  await tcpwhy.until((output) => output.count('no-listener') >= 3000, 5000);
  await tcpwhy.stop();
  const files = readdirSync(folder)
    .filter((one) => one.startsWith('kept.'))
    .sort();
  expect(files).toHaveLength(3);
  expect(Number(files[0]?.split('.')[1])).toBeGreaterThan(1);
});

describe('on a full disk', () => {
  const disk = join(folder, 'disk');
  const file = join(disk, 'x.tcpwhy');
  const filler = join(disk, 'filler');

  beforeEach(() => {
    mkdirSync(disk, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4M', 'tcpwhy-test', disk]);
  });
  afterEach(() => {
    execFileSync('umount', [disk]);
  });

  function fill(): void {
    try {
      writeFileSync(filler, Buffer.alloc(8 << 20));
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
    }
  }

  it('says so, goes on showing findings, and catches up when there is room', async () => {
    using lab = Lab.open();
    await using tcpwhy = await record(lab, file);
    const { size } = statSync(file);
    await load(lab, () => statSync(file).size > size + 10_000, 100_000);
    fill();
    await load(lab, () => tcpwhy.stderr.includes('ENOSPC'), 100_000);
    expect(tcpwhy.stderr).toMatch(/x\.tcpwhy: ENOSPC.*: findings go on/);
    const before = tcpwhy.output.count('no-listener');
    await load(lab, () => false, 100);
    expect(await tcpwhy.until((output) => output.count('no-listener') > before)).toBe(true);

    const meanwhile = replay(file);
    expect(meanwhile.stderr).toMatch(/ends without a footer/);
    expect(meanwhile.output.count('no-listener')).toBeGreaterThan(0);

    rmSync(filler);
    await load(lab, () => tcpwhy.stderr.includes('written again'), 100_000);
    const live = await tcpwhy.stop();
    const { output, stderr } = replay(file);
    expect(stderr).toBe('');
    expect(output.summary).toEqual(live.summary);
    expect(live.summary.findings).toEqual({ 'no-listener': live.count('no-listener') });
  });

  it('loses nothing silently: what does not fit into memory either is counted', async () => {
    const recording = new Recording(file, headerWith());
    const event = encodeEvent(packetEvent('drop', { ms: 1 }));
    const many = Buffer.concat(Array.from({ length: 10_000 }, () => event));
    const chunk = Buffer.concat([many, encodeEvent(tick(2))]);
    let written = 0;
    fill();
    for (let i = 0; i < 40; i++, written += 10_001) recording.write(chunk);
    const unwritten = recording.takeUnwritten();
    expect(recording.error).toMatch(/ENOSPC/);
    expect(unwritten).toBeGreaterThan(0);
    expect(recording.takeForgotten()).toBe(false);

    execFileSync('mount', ['-o', 'remount,size=64M', disk]);
    recording.write(encodeEvent(tick(3)));
    for (let i = 0; i < 40; i++, written += 10_001) recording.write(chunk);
    expect(recording.error).toBe(null);
    expect(recording.takeForgotten()).toBe(true);
    recording.close();
    expect(statSync(file).size).toBeGreaterThan(16 << 20);

    const read = await RecordedStream.open(file);
    let bytes = 0;
    const lost = encodeEvent({
      tick: { lost: [{ name: 'recording_write_failed', count: unwritten }] },
    });
    let told = 0;
    for await (const { messages, damage } of read.pieces()) {
      bytes += messages.length;
      if (Buffer.from(messages).includes(lost)) told++;
      expect(damage?.bytes ?? 0).toBe(0);
    }
    expect(told).toBe(1);
    const whole = (written - unwritten) / 10_001;
    expect(Number.isInteger(whole)).toBe(true);
    expect(bytes).toBeGreaterThan(whole * chunk.length);
  });
});
