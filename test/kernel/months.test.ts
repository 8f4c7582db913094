// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { accept, awaitReset, dial, lingerZero, listen } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import type { Netns } from '../../src/lab/netns.ts';
import { until } from '../../src/lab/until.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { onlineCpus } from '../../src/native/binding.ts';
import { RecordedStream } from '../../src/record/read.ts';
import type { Family } from '../../src/tcp/address.ts';
import { endpoint } from '../../src/tcp/endpoint.ts';
import { decodeEvent } from '../../src/wire/decode.ts';
import type { Event } from '../../src/wire/event.ts';
import { FrameReader } from '../../src/wire/frames.ts';
import { sharedBy } from '../../src/wire/key.ts';
import { Running } from './tcpwhy.ts';

/** Of one CPU, and of all of them. */
const PLACES = 4096;
/** So many keys begin in a second on each CPU. */
const KEYS_PER_S = 1000;
/** What a refused connect begins: the reset that was sent, and the one that came. */
const KEYS_OF_EACH = 2;
const MOST_CPUS = 8;
/** Above those that are dialled before, and those that clients have. */
const LATE = [61_101, 61_102, 61_103, 61_104];
const SERVED = 61_105;
const ROUND_MS = 1000;
const AT_ONCE = KEYS_PER_S / KEYS_OF_EACH - 50;

function refuse(lab: Lab, from: Netns, family: Family, address: string, ports: number[]): void {
  using socket = lab.socket(from, { family });
  for (const port of ports)
    until('a connect to be refused', () => socket.connect(address, port).error === 'ECONNREFUSED');
}

async function eventsOf(file: string): Promise<Event[]> {
  const recording = await RecordedStream.open(file);
  const events: Event[] = [];
  for await (const { messages } of recording.pieces())
    for (const { bytes } of new FrameReader().push(messages)) {
      const event = decodeEvent(bytes);
      if (event) events.push(event);
    }
  return events;
}

it('tells of a service that fails when all keys are used up by its own name, and counts it', {
  timeout: 600_000,
}, async ({ skip }) => {
  skip(
    onlineCpus() > MOST_CPUS,
    `more than ${MOST_CPUS} CPUs have more places than ports are tried`,
  );
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-months-'));
  try {
    using lab = Lab.open();
    const file = join(folder, 'x.tcpwhy');
    await using tcpwhy = await Running.start(['-o', file]);
    const before = lab.server.counter('Tcp', 'OutRsts');
    // Whichever CPU does it: more than there are places for.
    const needed = (PLACES * (1 + onlineCpus()) * 3) / 2 / KEYS_OF_EACH;
    let port = 1;
    while (port <= needed) {
      const round = Array.from({ length: AT_ONCE }, () => port++);
      refuse(lab, lab.client, 4, HOSTS[4].server, round);
      // What the kernel gives keys by is the time.
      await sleep(ROUND_MS);
    }
    const scanned = lab.server.counter('Tcp', 'OutRsts') - before;

    // Each of these is a service that nothing was told of before.
    const at = { address: HOSTS[4].server, port: SERVED };
    using listener = listen(lab, 4, at.port, 1);
    const [pair] = accept(listener, dial(lab, lab.client, at, 1));
    if (!pair) throw new Error('no connection');
    lingerZero(pair.server);
    pair.server.close();
    awaitReset([pair.client], 'ECONNRESET');
    refuse(lab, lab.server, 4, HOSTS[4].client, LATE);
    refuse(lab, lab.client, 6, HOSTS[6].server, LATE);
    const output = await tcpwhy.stop();

    const here = output.findings
      .filter(({ flow, cause }) => lab.netnsInodes.includes(flow.netns) && cause !== 'benign')
      .map(({ cause, where, count }) => ({ cause, where, count }));
    const own = [
      { cause: 'linger-zero-close', where: endpoint(at.address, at.port), count: 1 },
      ...[HOSTS[4].client, HOSTS[6].server].flatMap((host) =>
        LATE.map((one) => ({ cause: 'no-listener', where: endpoint(host, one), count: 1 })),
      ),
      { cause: 'no-listener', where: HOSTS[4].server, count: scanned },
    ];
    const sorted = (rows: typeof own) => rows.map((row) => JSON.stringify(row)).sort();
    expect(sorted(here)).toEqual(sorted(own));
    expect(scanned).toBe(port - 1);

    // Else it would be of nothing: some of them had no key of their own, which their hashes decide.
    const late = (await eventsOf(file)).filter((event) => {
      if (event.kind !== 'reset_sent' || !lab.netnsInodes.includes(event.netns)) return false;
      const flow = event.body.packet?.flow ?? event.body.sock?.flow;
      return [...LATE, SERVED].some((one) => flow?.dport === one || flow?.sport === one);
    });
    const shared = late.filter(({ key }) => sharedBy(key) === 'host');
    expect(late).toHaveLength(own.length - 1);
    expect(shared.length).toBeGreaterThan(1);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
