// SPDX-License-Identifier: Apache-2.0

import { spawn } from 'node:child_process';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  accept,
  awaitAll,
  awaitQueued,
  awaitReset,
  connect,
  dial,
  growth,
  hangUp,
  IPPROTO_MPTCP,
  knock,
  listen,
  localOf,
  say,
} from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { BOTH } from '../../src/lab/scenario.ts';
import { until } from '../../src/lab/until.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { POLLIN, POLLOUT, type Socket } from '../../src/native/sockets.ts';
import { Running } from './tcpwhy.ts';

const TIMES = 7;
const PORT = 8082;

let lab: Lab;
beforeEach(() => {
  lab = Lab.open();
});
afterEach(() => lab.close());

const watch = () => Running.start(['--netns', lab.server.path]);

it.each(BOTH)(
  'IPv%d: of listeners that were there before, the one that is full is told',
  async (family) => {
    const options = { reuseport: true, address: family === 4 ? '0.0.0.0' : '::' };
    const server = { address: HOSTS[family].server, port: PORT };
    const stuck = [1, 2].map((backlog) => listen(lab, family, PORT, backlog, options));
    const refused = growth(lab.server, 'TcpExt', 'ListenOverflows');
    // Both are full before anybody watches, and have dropped some.
    const waiting = [];
    while (refused() < 20) {
      const [client] = dial(lab, lab.client, server, 1) as [Socket];
      const before = refused();
      until('an answer, or none', () => client.poll(POLLOUT, 0) !== 0 || refused() > before);
      if (refused() > before) client.close();
      else waiting.push(client);
    }
    for (const [index, listener] of stuck.entries()) awaitQueued(listener, index + 2);

    await using tcpwhy = await watch();
    const since = refused();
    knock(lab, server, 23);
    until('the SYNs to be refused', () => refused() - since >= 23);
    await tcpwhy.until((output) => output.count('accept-queue-full') >= 23);
    const { findings } = await tcpwhy.stop();
    const told = findings.filter(({ cause }) => cause === 'accept-queue-full');
    // Each is told of apart, and with its own queue.
    expect(told.map(({ evidence }) => evidence.accept_queue_max).sort()).toEqual([1, 2]);
    for (const { evidence, basis } of told) {
      expect(evidence.accept_queue).toBe(Number(evidence.accept_queue_max) + 1);
      expect(evidence).toMatchObject({ listeners: 2, listener_known: true });
      expect(basis).toBe('direct');
    }
    expect(told.reduce((sum, { count }) => sum + count, 0)).toBe(23);
    for (const client of waiting) client.close();
  },
);

it.each(BOTH)(
  'IPv%d: MPTCP listeners and connections that were there before have their process',
  async (family) => {
    const server = { address: HOSTS[family].server, port: PORT };
    const refused = growth(lab.server, 'TcpExt', 'ListenOverflows');
    const pairs = connect(lab, { times: TIMES, family }, PORT + 1, IPPROTO_MPTCP);
    const listener = listen(lab, family, PORT, 1, { protocol: IPPROTO_MPTCP });
    const waiting = dial(lab, lab.client, server, 2, IPPROTO_MPTCP);
    awaitQueued(listener, 2);
    say(
      pairs.map(({ client }) => client),
      'unread',
    );
    awaitAll(
      pairs.map((pair) => pair.server),
      POLLIN,
      'the request',
    );

    await using tcpwhy = await watch();
    knock(lab, server, TIMES);
    until('the SYNs to be refused', () => refused() >= TIMES);
    for (const pair of pairs) pair.server.close();
    awaitReset(
      pairs.map(({ client }) => client),
      'ECONNRESET',
    );
    await tcpwhy.until(
      (output) =>
        output.count('accept-queue-full') >= TIMES && output.count('unread-data-on-close') >= TIMES,
    );
    const { findings } = await tcpwhy.stop();
    const told = Object.fromEntries(findings.map((finding) => [finding.cause, finding]));
    expect(Object.keys(told).sort()).toEqual(['accept-queue-full', 'unread-data-on-close']);
    for (const { cause, count, process: owner, evidence } of findings) {
      expect(count).toBe(TIMES);
      expect([cause, owner?.pid]).toEqual([cause, process.pid]);
      expect(evidence.protocol).toBe('MPTCP');
    }
    expect(told['unread-data-on-close']?.evidence.unread_bytes).toBe(6);
    hangUp(accept(listener, waiting));
  },
);

it('every process that has a listener open is named, also where the one that began to listen is gone', async () => {
  const server = { address: HOSTS[4].server, port: PORT };
  const refused = growth(lab.server, 'TcpExt', 'ListenOverflows');
  const listener = listen(lab, 4, PORT, 1);
  const workers = [0, 1, 2].map(() =>
    spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', listener.fd] }),
  );
  const waiting = dial(lab, lab.client, server, 2);
  awaitQueued(listener, 2);
  listener.close();
  try {
    await using tcpwhy = await watch();
    const clients = knock(lab, server, TIMES);
    until('the SYNs to be refused', () => refused() >= TIMES);
    expect(clients).toHaveLength(TIMES);
    await tcpwhy.until((output) => output.count('accept-queue-full') >= TIMES);
    const { findings } = await tcpwhy.stop();
    expect(findings.map(({ cause, count }) => [cause, count])).toEqual([
      ['accept-queue-full', TIMES],
    ]);
    const held = findings[0]?.evidence.held_by as string[];
    expect([...held].sort()).toEqual(workers.map(({ pid }) => `sleep (${pid})`).sort());
    expect(waiting.map(localOf)).toHaveLength(2);
  } finally {
    for (const worker of workers) worker.kill('SIGKILL');
  }
});

/* Always has a child that is about to end, or to run another program: with the listener it began with at hand. */
const FORKS = `import os, select, sys
os.set_inheritable(3, False)
for _ in range(600):
    if os.fork() == 0:
        select.select([0], [], [], 0.1)
        os._exit(0)
    os.wait()
    if select.select([0], [], [], 0)[0]: break
`;

it('a child that is about to run another program holds no listener that closes then', async () => {
  const server = { address: HOSTS[4].server, port: PORT };
  const refused = growth(lab.server, 'TcpExt', 'ListenOverflows');
  const listener = listen(lab, 4, PORT, 1);
  const holder = spawn('python3', ['-c', FORKS], {
    stdio: ['pipe', 'ignore', 'inherit', listener.fd],
  });
  const waiting = dial(lab, lab.client, server, 2);
  awaitQueued(listener, 2);
  listener.close();
  try {
    await using tcpwhy = await watch();
    knock(lab, server, TIMES);
    until('the SYNs to be refused', () => refused() >= TIMES);
    await tcpwhy.until((output) => output.count('accept-queue-full') >= TIMES);
    const { findings } = await tcpwhy.stop();
    // In one process, which is whose the listener is.
    expect(findings.map(({ evidence }) => evidence.held_by)).toEqual([null]);
    expect(waiting.map(localOf)).toHaveLength(2);
  } finally {
    holder.kill('SIGKILL');
  }
});
