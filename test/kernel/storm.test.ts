// SPDX-License-Identifier: Apache-2.0

import { setImmediate } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { RECORDS_PER_S } from '../../src/app/attach.ts';
import { accept, awaitReset, dial, lingerZero, listen } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { until } from '../../src/lab/until.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { onlineCpus } from '../../src/native/binding.ts';
import { bracketed, type Family } from '../../src/tcp/address.ts';
import { endpoint } from '../../src/tcp/endpoint.ts';
import { type Output, Running } from './tcpwhy.ts';

vi.setConfig({ testTimeout: 600_000 });

/** Of a machine that is busy with something else. */
const PATIENCE_MS = 60_000;
const TIMES = 100_000;
const AT_ONCE = 1000;
const RESETS = 20_000;
/** Above the ports that a kernel gives to clients. */
const HIGH_PORT = 61_051;

const SCANNED = 12_000;
/** Resets that were sent and that came, connections that end for either reason, and the listener. */
const KEYS = 4;

/** One socket dials these ports, each once and from another port of its own. */
async function refuse(lab: Lab, family: Family, ports: Iterable<number>): Promise<void> {
  using socket = lab.socket(lab.client, { family });
  let refused = 0;
  for (const port of ports) {
    until(
      'a connect to be refused',
      () => socket.connect(HOSTS[family].server, port).error === 'ECONNREFUSED',
      PATIENCE_MS,
    );
    // So that what tcpwhy prints meanwhile is read.
    if (++refused % AT_ONCE === 0) await setImmediate();
  }
}

/** Of the lab: the machine may do other things, of which records may be lost. */
function findingsOf(lab: Lab, { findings }: Output) {
  return findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
}

it.each([
  [4, 3306, TIMES],
  [6, 3306, TIMES],
  [4, HIGH_PORT, RESETS],
] as const)(
  'counts a storm of refused connects exactly, IPv%d, port %d',
  async (family, port, times) => {
    using lab = Lab.open();
    await using tcpwhy = await Running.start();
    const before = lab.server.counter('Tcp', 'OutRsts');
    await refuse(lab, family, Array(times).fill(port));
    const resets = lab.server.counter('Tcp', 'OutRsts') - before;
    const output = await tcpwhy.stop();
    expect(resets).toBe(times);
    expect(output.summary.counted.reset_sent).toBeGreaterThanOrEqual(resets);
    expect(findingsOf(lab, output).map(({ cause, count }) => [cause, count])).toEqual([
      ['no-listener', resets],
    ]);
  },
);

it.each([
  [4, 'all', 'no-listener'],
  [6, 'all', 'no-listener'],
  [4, 'client', 'connect-refused'],
  [6, 'server', 'no-listener'],
] as const)(
  'counts a scan of more ports than have a key exactly, IPv%d, seen from %s',
  async (family, seen, cause) => {
    using lab = Lab.open();
    const netns = seen === 'all' ? [] : ['--netns', String(lab[seen].inode)];
    await using tcpwhy = await Running.start(netns);
    const before = lab.server.counter('Tcp', 'OutRsts');
    await refuse(
      lab,
      family,
      Array(SCANNED)
        .keys()
        .map((port) => port + 1),
    );
    const resets = lab.server.counter('Tcp', 'OutRsts') - before;
    const output = await tcpwhy.stop();
    const here = findingsOf(lab, output);
    expect(resets).toBe(SCANNED);
    expect(here.map((finding) => [finding.cause, finding.where, finding.count])).toEqual([
      [cause, bracketed(HOSTS[family].server), resets],
    ]);
    expect(here[0]?.summary).toContain('a port scan');
  },
);

it.each([4, 6] as const)(
  'counts a storm of resets by a service above its clients’ ports exactly, and makes few records of it, IPv%d',
  async (family) => {
    using lab = Lab.open();
    await using tcpwhy = await Running.start(['--events']);
    const began_ms = performance.now();
    const before = lab.server.counter('Tcp', 'OutRsts');
    using listener = listen(lab, family, HIGH_PORT, AT_ONCE);
    const at = { address: HOSTS[family].server, port: HIGH_PORT };
    for (let made = 0; made < RESETS; made += AT_ONCE) {
      const pairs = accept(listener, dial(lab, lab.client, at, AT_ONCE));
      for (const { server } of pairs) {
        lingerZero(server);
        server.close();
      }
      awaitReset(
        pairs.map(({ client }) => client),
        'ECONNRESET',
      );
      await setImmediate();
    }
    const resets = lab.server.counter('Tcp', 'OutRsts') - before;
    const passed_s = (performance.now() - began_ms) / 1000;
    const output = await tcpwhy.stop();
    const found = findingsOf(lab, output).map(({ cause, where, count }) => ({
      cause,
      where,
      count,
    }));
    expect(resets).toBe(RESETS);
    expect(found).toEqual([
      { cause: 'linger-zero-close', where: endpoint(at.address, at.port), count: resets },
    ]);
    expect(output.summary.counted.reset_sent).toBeGreaterThanOrEqual(resets);
    const events = output.objects.filter(
      (one) => one.type === 'event' && lab.netnsInodes.includes(one.netns),
    );
    expect(events.length).toBeLessThan(KEYS * onlineCpus() * RECORDS_PER_S * (passed_s + 1));
  },
);
