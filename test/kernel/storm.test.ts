// SPDX-License-Identifier: Apache-2.0

import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { accept, awaitReset, dial, lingerZero, listen } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { until } from '../../src/lab/until.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { bracketed, type Family } from '../../src/tcp/address.ts';
import { endpoint } from '../../src/tcp/endpoint.ts';
import { Running } from './tcpwhy.ts';

const TIMES = 100_000;
const AT_ONCE = 1000;
const RESETS = 20_000;
/** Above the ports that a kernel gives to clients. */
const HIGH_PORT = 61_051;

const SCANNED = 12_000;

/** One socket dials each port once. */
async function scan(lab: Lab, family: Family, ports: number): Promise<void> {
  using socket = lab.socket(lab.client, { family });
  for (let port = 1; port <= ports; port++) {
    until(
      'a connect to be refused',
      () => socket.connect(HOSTS[family].server, port).error === 'ECONNREFUSED',
    );
    if (port % AT_ONCE === 0) await setImmediate();
  }
}

/** One socket dials again and again, each time from another port. */
async function refuse(lab: Lab, family: Family, port: number, times: number): Promise<void> {
  using socket = lab.socket(lab.client, { family });
  for (let refused = 0, asked = 0; refused < times; asked++) {
    if (asked > 4 * times) throw new Error(`only ${refused} connects were refused`);
    const { error } = socket.connect(HOSTS[family].server, port);
    if (error === 'ECONNREFUSED') refused++;
    // So that what tcpwhy prints meanwhile is read.
    if (asked % AT_ONCE === 0) await setImmediate();
  }
}

it.each([
  [4, 3306, TIMES],
  [6, 3306, TIMES],
  [4, HIGH_PORT, RESETS],
] as const)(
  'counts a storm of refused connects exactly, IPv%d, port %d',
  async (family, port, times) => {
    await using tcpwhy = await Running.start();
    using lab = Lab.open();
    const before = lab.server.counter('Tcp', 'OutRsts');
    await refuse(lab, family, port, times);
    const resets = lab.server.counter('Tcp', 'OutRsts') - before;
    await tcpwhy.until((output) => output.count('no-listener') >= times, 5000);
    const { summary, findings } = await tcpwhy.stop();
    expect(resets).toBe(times);
    expect(summary.counted.reset_sent).toBe(resets);
    expect(summary.findings).toEqual({ 'no-listener': times });
    expect(summary.unexplained).toBe(0);
    expect(findings.filter(({ cause }) => cause === 'no-listener')).toHaveLength(1);
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
    await scan(lab, family, SCANNED);
    const resets = lab.server.counter('Tcp', 'OutRsts') - before;
    await tcpwhy.until((output) => output.count(cause) >= SCANNED, 5000);
    const { summary, findings } = await tcpwhy.stop();
    const here = findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
    expect(resets).toBe(SCANNED);
    expect(here.map((finding) => [finding.cause, finding.where, finding.count])).toEqual([
      [cause, bracketed(HOSTS[family].server), resets],
    ]);
    expect(here[0]?.summary).toContain('a port scan');
    expect(summary.lost).toBe(0);
  },
);

it.each([4, 6] as const)(
  'counts a storm of resets by a service above its clients’ ports exactly, and makes few records of it, IPv%d',
  async (family) => {
    await using tcpwhy = await Running.start(['--events']);
    using lab = Lab.open();
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
    await tcpwhy.until((output) => output.count('linger-zero-close') >= RESETS, 5000);
    const { summary, findings, objects } = await tcpwhy.stop();
    const here = findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
    expect(resets).toBe(RESETS);
    expect(here.map(({ cause, where, count }) => ({ cause, where, count }))).toEqual([
      { cause: 'linger-zero-close', where: endpoint(at.address, at.port), count: resets },
    ]);
    expect(summary.counted.reset_sent).toBeGreaterThanOrEqual(resets);
    expect(summary.lost).toBe(0);
    expect(objects.filter(({ type }) => type === 'event').length).toBeLessThan(RESETS / 5);
  },
);
