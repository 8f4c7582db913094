// SPDX-License-Identifier: Apache-2.0
//
// Recordings of what Linux 4.9 with tcp_tw_recycle did: test/recordings/tw-recycle-4.9.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import pawsPassive from '../../../src/causes/paws-passive/index.ts';
import { CAUSES } from '../../../src/causes/registry.gen.ts';
import { Pipeline } from '../../../src/diagnose/pipeline.ts';
import { RecordedStream } from '../../../src/record/read.ts';
import { recordingOf } from '../../../tools/tw-recycle/recording.ts';

const FOLDER = join(import.meta.dirname, '../../recordings/tw-recycle-4.9');
/** The last TSval of A, which closed a connection. */
const STAMP = 2_088_983_548;

/** Each SYN that is named: port, TSval, what it was compared with, and how old that was. */
type Named = [port: number, tsval: number | null, remembered: number, age_s: number];

const B: Named[] = [
  [40_001, 271_344_470, STAMP, 1],
  [40_002, 271_345_544, STAMP, 2],
  [40_003, 271_346_612, STAMP, 3],
  [40_004, 271_348_509, STAMP, 5],
  [40_005, 271_351_766, STAMP, 8],
];
const C: Named = [40_007, null, STAMP, 11];

async function replay(name: string) {
  const named: Named[] = [];
  const stream = await RecordedStream.open(join(FOLDER, `${name}.tcpwhy`));
  const pipeline: Pipeline = new Pipeline(stream.header, CAUSES, (event) => {
    const match = pawsPassive.match(event, pipeline.known);
    if (!match || event.kind !== 'syn_received') return;
    const { tsval, remembered_tsval, remembered_age_s } = match.evidence;
    named.push([
      event.body.packet.flow.sport,
      tsval,
      Number(remembered_tsval),
      Number(remembered_age_s),
    ]);
  });
  for await (const { messages } of stream.pieces()) pipeline.push(messages);
  pipeline.finish();
  const findings = [...pipeline.engine.findings.values()].map(({ finding }) => finding);
  return { named, findings, unexplained: pipeline.engine.unexplained };
}

describe('tcp_tw_recycle on a live Linux 4.9', () => {
  test('names the SYNs of B and the one of C, not those of A and D', async () => {
    const { named, findings, unexplained } = await replay('short');
    expect(named).toEqual([...B, C]);
    const told = findings.filter(({ cause }) => cause === 'paws-passive');
    expect(told.map(({ count, basis }) => [count, basis])).toEqual([
      [5, 'direct'],
      [1, 'direct'],
    ]);
    expect(unexplained).toBe(0);
  });

  test('names none after 60 s', async () => {
    expect((await replay('long')).named).toEqual([...B, C, [40_008, 271_401_470, STAMP, 58]]);
  });

  test('compares as the kernel does: older by more than 1, around the wrap, and none at all', async () => {
    expect((await replay('edges')).named.map(([, tsval]) => tsval)).toEqual([
      STAMP - 2,
      STAMP - 1000,
      STAMP + 2 ** 31 + 1,
      0,
      null,
    ]);
  });

  test('names each SYN of a real client until it gets through', async () => {
    const { named } = await replay('real-client');
    expect(named.map(([port, , remembered]) => [port, remembered])).toEqual(
      Array.from({ length: 6 }, () => [41_903, STAMP]),
    );
    expect(named.map(([, , , age_s]) => age_s)).toEqual([2, 3, 5, 10, 18, 34]);
  });

  test('is quiet where tcp_tw_recycle is off', async () => {
    const { named, findings } = await replay('recycle-off');
    expect(named).toEqual([]);
    expect(new Set(findings.map(({ cause }) => cause))).toEqual(new Set(['request-reset']));
  });

  test.each(['short', 'long', 'edges', 'real-client', 'recycle-off'])(
    'the recording %s is what its capture and counters make',
    (name) => {
      const made = recordingOf(join(FOLDER, name));
      expect(made.equals(readFileSync(join(FOLDER, `${name}.tcpwhy`)))).toBe(true);
    },
  );
});
