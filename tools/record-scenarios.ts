// SPDX-License-Identifier: Apache-2.0
//
// Usage, as root: node tools/record-scenarios.ts [CAUSE…]
//
// Makes each failure of the lab happen 7 times and keeps what was seen of it as
// test/recordings/CAUSE.tcpwhy.zst: events of the lab's namespaces and the facts that they need, and
// nothing of this host but its kernel. Then write what shall come of it:
//
//     UPDATE_EXPECTED=1 npx vitest run --project unit test/cli/recordings.test.ts

import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { sampling } from '../src/app/attach.ts';
import { CAUSES } from '../src/causes/registry.gen.ts';
import { Pipeline } from '../src/diagnose/pipeline.ts';
import { Lab } from '../src/lab/lab.ts';
import type { Scenario } from '../src/lab/scenario.ts';
import { SCENARIOS } from '../src/lab/scenarios.ts';
import { Recording } from '../src/record/write.ts';
import { EVERYTHING } from '../src/source/filter.ts';
import { LiveSource } from '../src/source/live.ts';
import { decodeEvent, encodeFrame } from '../src/wire/decode.ts';
import { FrameReader } from '../src/wire/frames.ts';
import { neededFacts } from './needed-facts.ts';

const TIMES = 7;
const LIMIT_MS = 15_000;
const TICK_MS = 100;
/** Longer than the engine holds what may be explained better. */
const SETTLE_MS = 700;
const FOLDER = join(import.meta.dirname, '../test/recordings');
/** What tcpwhy itself writes; totals are of everything on this host. */
const KEPT_KINDS = new Set(['tick', 'footer']);

const wanted = process.argv.slice(2);
let failed = false;
for (const { id } of CAUSES) {
  if (wanted.length > 0 && !wanted.includes(id)) continue;
  const scenario = SCENARIOS.find(({ cause }) => cause === id);
  try {
    if (!scenario) throw new Error('the lab cannot make it');
    await record(scenario, join(FOLDER, `${id}.tcpwhy.zst`));
    console.log(id);
  } catch (error) {
    console.error(`${id}: ${error instanceof Error ? error.message : error}`);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);

async function record(scenario: Scenario, path: string): Promise<void> {
  const source = LiveSource.open({
    filter: EVERYTHING,
    ...sampling({ everyRecord: true, output: null }),
    tier: 'hooks',
    host_name: false,
  });
  try {
    const pipeline = new Pipeline(source.header, CAUSES);
    using lab = Lab.open();
    const family = scenario.families[0] ?? 4;
    const chunks = [source.begin()];
    const options = { times: TIMES, family };
    scenario.prepare?.(lab, options);
    scenario.run(lab, options);
    const end = performance.now() + LIMIT_MS;
    let so_at = Number.POSITIVE_INFINITY;
    while (performance.now() < Math.min(end, so_at + SETTLE_MS)) {
      await pause(TICK_MS);
      const chunk = source.tick();
      chunks.push(Buffer.from(chunk));
      pipeline.push(chunk);
      if (found(pipeline, scenario.cause, lab) >= TIMES) so_at = Math.min(so_at, performance.now());
    }
    const count = found(pipeline, scenario.cause, lab);
    if (count !== TIMES) throw new Error(`seen ${count} times instead of ${TIMES}`);
    chunks.push(source.end('interrupted'));
    const recording = new Recording(path, { ...source.header, filters: ['lab'] }, null, true);
    recording.write(only(Buffer.concat(chunks), new Set(lab.netnsInodes)));
    recording.close();
    chmodSync(path, 0o644);
  } finally {
    source.close();
  }
}

function found({ engine }: Pipeline, cause: string, lab: Lab): number {
  return [...engine.findings.values()]
    .map(({ finding }) => finding)
    .filter(({ cause: id, flow }) => id === cause && lab.netnsInodes.includes(flow.netns))
    .reduce((sum, { count }) => sum + count, 0);
}

/** Messages about these namespaces, with the facts that they need. */
function only(stream: Uint8Array, netns: ReadonlySet<number>): Uint8Array {
  const all = [...new FrameReader().push(stream)].flatMap(({ bytes }) => {
    const event = decodeEvent(bytes);
    return event ? [{ event, bytes }] : [];
  });
  const events = all.map(({ event }) => event).filter((event) => netns.has(event.netns));
  const needed = neededFacts(
    all.map(({ event }) => event),
    events,
  );
  const kept = all.filter(
    ({ event }) => netns.has(event.netns) || KEPT_KINDS.has(event.kind) || needed.has(event),
  );
  return Buffer.concat(kept.map(({ bytes }) => encodeFrame(bytes)));
}
