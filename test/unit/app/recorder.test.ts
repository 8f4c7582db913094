// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Recorder } from '../../../src/app/recorder.ts';
import { ScriptedSource } from '../agent/scripted.ts';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-recorder-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What it tells by a tick is there until it is asked again, as where a reader of its own tells it. */
class ForgetfulSource extends ScriptedSource {
  readonly #room = Buffer.alloc(1 << 16);

  override tick(): Uint8Array {
    const bytes = super.tick();
    this.#room.set(bytes);
    return this.#room.subarray(0, bytes.length);
  }

  override footer(end: string): Uint8Array {
    this.#room.fill(0xff);
    return super.footer(end);
  }
}

test('what a tick told is still there when the recording has gone on in another file', () => {
  const [source, same] = [new ForgetfulSource('1'), new ScriptedSource('1')];
  const rotation = { max_bytes: 0, max_age_ms: null, keep: Infinity };
  const output = join(folder, 'x.tcpwhy');
  const recorder = new Recorder(source, { output, force: false }, rotation);
  recorder.begin();
  for (const one of [source, same]) one.drops(80, 81);
  const told = recorder.tick();
  expect(recorder.takeNext()).not.toBeNull();
  expect(Buffer.from(told)).toEqual(same.tick());
  recorder.close();
});
