// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { accept, awaitReset, dial, lingerZero, listen } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { until } from '../../src/lab/until.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { must, Socket } from '../../src/native/sockets.ts';
import type { Family } from '../../src/tcp/address.ts';
import { type Output, Running } from '../../test/kernel/tcpwhy.ts';
import { netnsChurn } from '../../test/software/churn.ts';

const AT_ONCE = 500;
const PORT = 3306;
const SETTLE_MS = 20_000;
const LAST_PORT = 65_535;
const SOURCES = 100;
const CONNECTIONS = 10;
const NAMESPACES_AT_ONCE = 10;
/** Of each namespace. */
const REFUSED = 4;
const REFUSED_PORT = 61_901;
/** Of those that are made beside these. */
const BESIDE_PORT = 61_902;
/** Each is ended when its storm is over. */
const LONG = ['--for', '1h'];

/** Makes some of it happen, and says how often it did. */
type Make = (lab: Lab, family: Family) => Promise<number>;

export interface Storm {
  what: string;
  cause: string;
  make: Make;
}

export interface Told {
  seconds: number;
  /** Resets that the kernel of the lab's server says it sent. */
  sent: number;
  /** How often the storm's causes were told, and what else was. */
  told: number;
  beside: Record<string, number>;
  /** By name. */
  lost: Record<string, number>;
  /** Of the process, every so often, MiB resident. */
  memory: number[];
}

export interface Churned extends Told {
  /** How many were made. */
  namespaces: number;
}

const refused: Storm = {
  what: 'connects to a port where nothing listens',
  cause: 'no-listener',
  async make(lab, family) {
    using socket = lab.socket(lab.client, { family });
    return await refusals(AT_ONCE, () => socket.connect(HOSTS[family].server, PORT).error);
  },
};

const scanned: Storm = {
  what: 'every port dialled, one after the other',
  cause: 'no-listener',
  async make(lab, family) {
    using socket = lab.socket(lab.client, { family });
    return await refusals(
      LAST_PORT,
      (made) => socket.connect(HOSTS[family].server, made + 1).error,
    );
  },
};

const scannedByMany: Storm = {
  what: 'every port dialled, each from the next of 100 addresses',
  cause: 'no-listener',
  async make(lab, family) {
    const addresses = Array.from({ length: SOURCES }, (_, i) =>
      family === 4 ? `10.4.26.${100 + i}` : `2001:db8:26::${100 + i}`,
    );
    const [bits, flags] = family === 4 ? [24, ''] : [64, 'nodad'];
    lab.client.ip(...addresses.map((address) => `addr replace ${address}/${bits} dev c0 ${flags}`));
    const sockets = addresses.map((address) => {
      const socket = lab.socket(lab.client, { family });
      must(socket.bind(address, 0), 'bind');
      return socket;
    });
    const of = (made: number) => sockets[made % SOURCES] as (typeof sockets)[number];
    const made = await refusals(
      LAST_PORT,
      (made) => of(made).connect(HOSTS[family].server, made + 1).error,
    );
    for (const socket of sockets) socket.close();
    return made;
  },
};

const reset: Storm = {
  what: 'connections closed with linger zero',
  cause: 'linger-zero-close',
  make: (lab, family) =>
    closed(lab, family, ({ server }) => {
      lingerZero(server);
      server.close();
    }),
};

const unread: Storm = {
  what: 'connections closed with unread data',
  cause: 'unread-data-on-close',
  make: (lab, family) =>
    closed(lab, family, ({ client, server }) => {
      client.send(Buffer.from('unread'));
      server.close();
    }),
};

export const STORMS: readonly Storm[] = [refused, scanned, scannedByMany, reset, unread];
/** More than its buffers hold. */
export const SCAN = scanned;
/** Those that may be made again and again, a few hundred at a time. */
const SHORT: readonly Storm[] = [refused, reset, unread];

/**
 * A storm of these in turn, until the time is over, watched by a `tcpwhy` of its own, which is stopped (SIGSTOP)
 * for the first `stopped_s`.
 */
export async function storm(
  storms: readonly Storm[],
  family: Family,
  seconds: number,
  samples: number,
  stopped_s = 0,
): Promise<Told> {
  using lab = Lab.open();
  await using tcpwhy = await Running.start(['--netns', String(lab.server.inode), ...LONG]);
  const sent = () => lab.server.counter('Tcp', 'OutRsts');
  const [before, began_ms] = [sent(), performance.now()];
  const passed_s = () => (performance.now() - began_ms) / 1000;
  const memory: number[] = [];
  let made = 0;
  let stopped = stopped_s > 0;
  if (stopped) process.kill(tcpwhy.pid, 'SIGSTOP');
  do {
    for (const { make } of storms) made += await make(lab, family);
    if (stopped && passed_s() >= stopped_s) stopped = !process.kill(tcpwhy.pid, 'SIGCONT');
    if (passed_s() >= (memory.length * seconds) / samples) memory.push(resident(tcpwhy.pid));
  } while (stopped || passed_s() < seconds);
  const causes = storms.map(({ cause }) => cause);
  await tcpwhy.until(
    (output) => causes.reduce((sum, cause) => sum + output.count(cause), 0) >= made,
    SETTLE_MS,
  );
  memory.push(resident(tcpwhy.pid));
  return toldBy(await tcpwhy.stop(), causes, { began_ms, sent: sent() - before, memory });
}

/**
 * Namespaces one after the other, until as many as these were made and the time is over: in each some connections
 * that end well, and some connects that are refused.
 */
export async function churn(
  namespaces: number,
  seconds = 0,
  samples = 1,
  port = REFUSED_PORT,
): Promise<Churned> {
  const { cause } = refused;
  await using tcpwhy = await Running.start([
    'trace',
    `127.0.0.1:${port}`,
    '127.0.0.1:8080',
    ...LONG,
  ]);
  const began_ms = performance.now();
  const passed_s = () => (performance.now() - began_ms) / 1000;
  const memory: number[] = [];
  let sent = 0;
  let made = 0;
  while (made < namespaces || passed_s() < seconds) {
    const inodes = await netnsChurn(NAMESPACES_AT_ONCE, CONNECTIONS, (netns) => {
      using socket = Socket.open({ netns: netns.path });
      const isRefused = () => socket.connect('127.0.0.1', port).error === 'ECONNREFUSED';
      for (let left = REFUSED; left > 0; left--)
        until('a connect to be refused', isRefused, SETTLE_MS);
      sent += netns.counter('Tcp', 'OutRsts');
    });
    made += inodes.length;
    if (passed_s() >= (memory.length * seconds) / samples) memory.push(resident(tcpwhy.pid));
  }
  await tcpwhy.until((output) => output.count(cause) >= sent, SETTLE_MS);
  memory.push(resident(tcpwhy.pid));
  const told = toldBy(await tcpwhy.stop(), [cause], { began_ms, sent, memory });
  return { ...told, namespaces: made };
}

/** Storms, and beside them namespaces, until the time is over. */
export async function mixed(
  seconds: number,
  samples: number,
): Promise<{ storms: Told; churned: Churned }> {
  const [storms, churned] = await Promise.all([
    storm(SHORT, 4, seconds, samples),
    churn(0, seconds, samples, BESIDE_PORT),
  ]);
  return { storms, churned };
}

/** What it told of these causes, and what else. */
function toldBy(
  output: Output,
  causes: readonly string[],
  { began_ms, sent, memory }: { began_ms: number; sent: number; memory: number[] },
): Told {
  const { findings, unexplained } = output.summary;
  const all = Object.entries(findings);
  return {
    seconds: (performance.now() - began_ms) / 1000,
    sent,
    told: all.filter(([id]) => causes.includes(id)).reduce((sum, [, count]) => sum + count, 0),
    beside: Object.fromEntries([
      ...all.filter(([id]) => !causes.includes(id)),
      ...(unexplained > 0 ? [['unexplained', unexplained]] : []),
    ]),
    lost: lostOf(output),
    memory,
  };
}

function lostOf({ objects }: Output): Record<string, number> {
  const lost: Record<string, number> = {};
  for (const one of objects) if (one.type === 'loss') lost[one.name] = one.count;
  return lost;
}

async function refusals(times: number, connect: (made: number) => string | null): Promise<number> {
  for (let made = 0; made < times; made++) {
    until('a connect to be refused', () => connect(made) === 'ECONNREFUSED', SETTLE_MS);
    if (made % AT_ONCE === 0) await setImmediate();
  }
  return times;
}

async function closed(
  lab: Lab,
  family: Family,
  close: (pair: ReturnType<typeof accept>[number]) => void,
): Promise<number> {
  using listener = listen(lab, family, PORT + 1, AT_ONCE);
  const at = { address: HOSTS[family].server, port: PORT + 1 };
  const pairs = accept(listener, dial(lab, lab.client, at, AT_ONCE));
  for (const pair of pairs) close(pair);
  const clients = pairs.map(({ client }) => client);
  awaitReset(clients, 'ECONNRESET');
  for (const client of clients) client.close();
  await setImmediate();
  return AT_ONCE;
}

function resident(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(status.match(/^VmRSS:\s+(\d+) kB$/m)?.[1] ?? 0) / 1024);
}
