// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { recordId } from '../../src/agent/log-record.ts';
import { RecordedStream } from '../../src/record/read.ts';
import { Output, TCPWHY } from '../kernel/tcpwhy.ts';

/** What `replay` says of each recording there is: counts by the id that a receiver is told, and by cause. */
export async function recordings(state: string, host_id: string) {
  const ids = new Map<string, number>();
  const causes = new Map<string, number>();
  const names = readdirSync(state).filter((one) => one.endsWith('.zst'));
  for (const name of names) {
    const path = join(state, name);
    const recording = await RecordedStream.open(path);
    await recording.close();
    const output = new Output();
    const { stdout } = spawnSync(TCPWHY, ['replay', path, '--json'], { encoding: 'utf8' });
    for (const line of stdout.split('\n').filter((one) => one !== '')) output.add(line);
    for (const { id, cause, count } of output.findings) {
      ids.set(recordId(host_id, recording.header, id), count);
      causes.set(cause, (causes.get(cause) ?? 0) + count);
    }
  }
  return { files: names.length, ids, causes };
}
