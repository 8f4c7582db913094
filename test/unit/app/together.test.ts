// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { besideEachOther } from '../../../src/app/post-mortem.ts';
import { openStream } from '../../../src/app/recording.ts';
import { playedTogether, shownTogether, Track } from '../../../src/app/together.ts';
import { EVERYTHING } from '../../../src/source/filter.ts';
import { opened, pcap, type Row } from '../capture/captures.ts';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-together-'));
afterAll(() => rmSync(folder, { recursive: true }));

const APART_S = 300;
const SERVER = '10.9.0.9:8080';
/** What a packet takes from one place to the other. */
const WAY_MS = 0.05;

/** Connections that their server resets, a second apart: as it is seen on one side of a NAT, by its clock. */
const resets = (client: string, late_ms: number): Row[] =>
  [0, 1, 2].flatMap((at) => {
    const from = `${client}:${4000 + at}`;
    const [at_ms, isn, server_isn] = [1000 * at + late_ms, 1000 + at, 5000 + at];
    return [
      ...opened(from, SERVER, { at_ms, isn, server_isn }),
      {
        ...{ at_ms: at_ms + 9, from: SERVER, to: from, flags: 'R.' },
        ...{ seq: server_isn + 1, ack: isn + 101 },
      },
    ];
  });

test('two captures whose clocks are five minutes apart are shown on that of the first', async () => {
  const files = [
    ['inside.pcap', resets('10.0.0.5', 0)],
    ['outside.pcap', resets('192.0.2.7', APART_S * 1000 + WAY_MS)],
  ].map(([name, rows]) => {
    const path = join(folder, name as string);
    writeFileSync(path, pcap(rows as Row[]));
    return path;
  });
  const beside = await besideEachOther(files, EVERYTHING);
  expect(beside.map(({ name }) => name)).toEqual(['inside.pcap', 'outside.pcap']);
  const [first, second] = beside.map(({ correction_ns }) => correction_ns);
  expect(first).toBe(0);
  expect(Math.abs((second ?? 0) + APART_S * 1e9)).toBeLessThan(1e6);

  const streams = await Promise.all(files.map((file) => openStream(file)));
  const tracks = streams.map((one, at) => new Track(one, null, EVERYTHING, beside[at] ?? null));
  const times: number[] = [];
  for await (const played of playedTogether(tracks)) {
    if (played.time_ns !== null) times.push(played.time_ns);
    played.track.take(played);
  }
  for (const track of tracks) track.finish();
  expect(times).toEqual(times.toSorted((a, b) => a - b));

  const { findings, ended, host } = shownTogether(tracks);
  expect([ended, host]).toEqual([true, 'inside.pcap and 1 more']);
  expect(findings.map(({ finding: { cause, count, where } }) => [cause, count, where])).toEqual([
    ['reset-by-peer', 3, `inside.pcap: ${SERVER}`],
    ['reset-by-peer', 3, `outside.pcap: ${SERVER}`],
  ]);
  const [here, there] = findings.map(({ finding }) => finding.last_ns);
  expect(Math.abs((here ?? 0) - (there ?? 0))).toBeLessThan(1e6);
});

test('a file whose clock is compared with no other stays on its own', async () => {
  const [one, other] = [
    ['one.pcap', resets('10.0.0.5', 0)],
    ['other.pcap', resets('10.0.0.5', 9000).map((row) => ({ ...row, seq: row.seq + 77 }))],
  ].map(([name, rows]) => {
    const path = join(folder, name as string);
    writeFileSync(path, pcap(rows as Row[]));
    return path;
  });
  const beside = await besideEachOther([one ?? '', other ?? ''], EVERYTHING);
  expect(beside.map(({ correction_ns }) => correction_ns)).toEqual([0, 0]);
});
