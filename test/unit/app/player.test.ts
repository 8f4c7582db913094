// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Player } from '../../../src/app/player.ts';
import { RecordedStream } from '../../../src/record/read.ts';
import type { Control } from '../../../src/sinks/tui/model.ts';
import { recorded } from '../record/recordings.ts';

const SECONDS = 60;
const PER_SECOND = 3;
const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-player-'));
const file = join(folder, 'x.tcpwhy');
writeFileSync(file, recorded(SECONDS, PER_SECOND).stream);
afterAll(() => rmSync(folder, { recursive: true }));

let player: Player;
let quit: AbortController;
let over: Promise<void>;

beforeEach(async () => {
  const open = async () => [await RecordedStream.open(file)];
  player = new Player(await open(), open, null);
  quit = new AbortController();
  over = player.play(quit.signal);
});
afterEach(async () => {
  quit.abort();
  await over;
});

const second = () => player.read().now_ns / 1e9;
const press = (...controls: Control[]) => {
  for (const control of controls) player.control(control);
};

/** What is shown when it stands still. */
async function arrived(at: number) {
  await vi.waitFor(() => expect(second()).toBeGreaterThanOrEqual(at), 5000);
  return player.read();
}

test('goes 10 seconds forward and back, and shows what there was by then', async () => {
  press('pause', 'forward', 'forward', 'forward');
  const { events, playback } = await arrived(29);
  expect(second()).toBeLessThan(31);
  expect(events).toBe(PER_SECOND * Math.round(second()));
  expect(playback).toMatchObject({ paused: true, speed: 1, damages: 0 });

  press('back');
  await vi.waitFor(() => expect(second()).toBeLessThan(21), 5000);
  const back = await arrived(19);
  expect(back.events).toBe(PER_SECOND * Math.round(second()));

  press('back', 'back', 'back');
  await vi.waitFor(() => expect(second()).toBeLessThan(2), 5000);
});

test('plays faster and slower, between a quarter and 64 times', () => {
  press('faster', 'faster');
  expect(player.read().playback?.speed).toBe(4);
  press(...Array.from({ length: 20 }, (): Control => 'faster'));
  expect(player.read().playback?.speed).toBe(64);
  press(...Array.from({ length: 20 }, (): Control => 'slower'));
  expect(player.read().playback?.speed).toBe(0.25);
});

test('ends, and can be taken back from there', async () => {
  press(...Array.from({ length: 20 }, (): Control => 'forward'));
  await vi.waitFor(() => expect(player.read().ended).toBe(true), 5000);
  expect(player.read()).toMatchObject({ events: PER_SECOND * SECONDS, playback: { played: 1 } });
  press('pause', 'back');
  await vi.waitFor(() => expect(player.read().ended).toBe(false), 5000);
  await arrived(SECONDS - 12);
  expect(second()).toBeLessThan(SECONDS - 8);
});

const { stream } = recorded(SECONDS, PER_SECOND);
const FRAME_BYTES = 300;
const frames = Array.from({ length: Math.ceil(stream.length / FRAME_BYTES) }, (_, at) =>
  zstdCompressSync(stream.subarray(at * FRAME_BYTES, (at + 1) * FRAME_BYTES)),
);

test.each([
  ['as it is', stream],
  ['in frames', Buffer.concat(frames)],
])('shows how much was played of a recording that is read at once, %s', async (_, bytes) => {
  const path = join(folder, 'position.tcpwhy');
  writeFileSync(path, bytes);
  const open = async () => [await RecordedStream.open(path)];
  const stop = new AbortController();
  player = new Player(await open(), open, null);
  const stopped = player.play(stop.signal);
  expect(player.read().playback?.played).toBe(0);
  const seen: number[] = [];
  press('pause');
  for (let at = 10; at < SECONDS; at += 10) {
    press('forward');
    await arrived(at - 1);
    seen.push((player.read().playback?.played ?? 0) - second() / SECONDS);
  }
  expect(seen.filter((difference) => Math.abs(difference) > 0.05)).toEqual([]);
  stop.abort();
  await stopped;
});

test('64 times as fast is 64 times as fast', async () => {
  press(...Array.from({ length: 6 }, (): Control => 'faster'));
  const before = { at_ms: performance.now(), second: second() };
  await arrived(before.second + 30);
  expect(performance.now() - before.at_ms).toBeLessThan(15_000);
});
