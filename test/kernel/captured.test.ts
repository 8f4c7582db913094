// SPDX-License-Identifier: Apache-2.0
//
// The failures that tcpwhy exists to explain, as tcpdump captures them at each end, against what was said of them
// live. Those of tcp_tw_recycle need a kernel before 4.12: test/unit/capture/captured.test.ts has one's.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TIMES } from '../../src/lab/conformance.ts';
import { awaitQueued, dialFrom, hangUp, listen, say } from '../../src/lab/connections.ts';
import type { Lab } from '../../src/lab/lab.ts';
import { rewritePeers, rewriterLacks, rewritten } from '../../src/lab/rewriter.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { FIN_ACK, Stranger, SYN_ACK } from '../../src/lab/stranger.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { must, POLLIN, type Socket } from '../../src/native/sockets.ts';
import { TCP_FLAG } from '../../src/tcp/flags.ts';
import { lacking } from '../software/service.ts';
import { Tcpdump } from '../software/tcpdump.ts';
import { Running } from './tcpwhy.ts';
import { Watched } from './watched.ts';

const OPTIONS = { times: TIMES, family: 4 } as const;
const TOA = 254;
const PORT = 3269;

/** `cause where`, and how often. */
type Told = Record<string, number>;

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-captured-'));
let watched: Watched;
beforeAll(async () => {
  watched = await Watched.start();
});
afterAll(async () => {
  await watched[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function toldOf(findings: readonly { cause: string; where: string; count: number }[]): Told {
  const told: Told = {};
  for (const { cause, where, count } of findings)
    told[`${cause} ${where}`] = (told[`${cause} ${where}`] ?? 0) + count;
  return told;
}

async function explained(file: string): Promise<Told> {
  const explain = await Running.start(['explain', file]);
  return toldOf((await explain.ended()).findings);
}

/** What is said live, and of captures at both ends, once `cause` was told so often. */
async function madeIn(lab: Lab, cause: string, make: () => unknown) {
  const dumps = await Promise.all(
    [lab.client, lab.server].map((end) => Tcpdump.start(end, join(folder, `${end.name}.pcap`))),
  );
  try {
    make();
    for (const dump of dumps) await dump.stop();
  } finally {
    for (const dump of dumps) await dump[Symbol.asyncDispose]();
  }
  const live = toldOf(await watched.findings(lab, cause, TIMES));
  const [client = {}, server = {}] = await Promise.all(dumps.map(({ file }) => explained(file)));
  return { live, client, server };
}

const VIP = `${HOSTS[4].vip}:80`;
const PROXY = `${HOSTS[4].server}:15006`;
const BALANCER = `${HOSTS[4].nowhere}:3306`;

it.for<[scenario: string, live: Told, client: Told, server: Told]>([
  [
    'synack-wrong-source',
    { [`synack-wrong-source ${VIP}`]: TIMES },
    { [`synack-wrong-source ${VIP}`]: TIMES },
    { [`synack-wrong-source ${VIP}`]: TIMES },
  ],
  // The proxy's own connect never leaves its host; packets do not tell that it is why.
  [
    'proxy-upstream-failed',
    {
      [`proxy-upstream-failed ${PROXY}`]: TIMES,
      [`no-listener ${HOSTS[4].server}:8080`]: TIMES,
    },
    { [`reset-by-peer ${PROXY}`]: TIMES },
    {
      [`reset-by-peer ${PROXY}`]: TIMES,
      [`connect-refused ${HOSTS[4].server}:8080`]: TIMES,
    },
  ],
  // The client of the balancer is the lab's server; the other end sends by hand, and nothing arrives there.
  [
    'crossed-reply',
    { [`crossed-reply ${BALANCER}`]: TIMES },
    {},
    { [`crossed-reply ${BALANCER}`]: TIMES },
  ],
])('%s', async ([id, live, client, server], { skip }) => {
  const missing = lacking('tcpdump');
  skip(missing !== null, missing ?? '');
  const scenario = SCENARIOS.find((one) => one.id === id);
  if (!scenario) throw new Error(`no scenario ${id}`);
  const lab = watched.lab();
  scenario.prepare?.(lab, OPTIONS);
  const told = await madeIn(lab, scenario.cause, () => scenario.run(lab, OPTIONS));
  expect(told).toEqual({ live, client, server });
});

it('peer-collision', async ({ skip }) => {
  const missing = lacking('tcpdump') ?? rewriterLacks();
  skip(missing !== null, missing ?? '');
  const lab = watched.lab();
  rewritePeers(lab);
  const both: Told = {
    [`peer-rewritten ${HOSTS[4].server}:${PORT}`]: TIMES,
    [`peer-collision ${HOSTS[4].server}:${PORT}`]: TIMES,
  };
  const told = await madeIn(lab, 'peer-collision', () => rewritten(lab, () => collide(lab)));
  expect(told).toEqual({ live: both, client: {}, server: both });
});

/** Clients that reach a server directly and, from the same ports, through a balancer, which tells so in an option. */
function collide(lab: Lab): void {
  const { client, server: address, balancer } = HOSTS[4];
  lab.server.ip(`route replace ${balancer} dev nowhere`);
  using stranger = new Stranger(lab, 4, address, balancer);
  using listener = listen(lab, 4, PORT, 2 * TIMES);
  const sports = lab.ports(TIMES);
  const direct = sports.map((port) =>
    dialFrom(lab, { address: client, port }, { address, port: PORT }),
  );
  awaitQueued(listener, TIMES);
  const accepted = (): Socket => {
    const { socket } = must(listener.accept({ name: false }), 'accept');
    must(socket.getpeername(), 'getpeername');
    say([socket], 'hello');
    return socket;
  };
  const pairs = direct.map((socket) => ({ client: socket, server: accepted() }));
  for (const { client: socket } of pairs) {
    socket.poll(POLLIN, 2000);
    must(socket.recv(), 'recv');
  }
  const balanced = sports.map((port) => {
    const toa = { kind: TOA, address: client, port };
    stranger.send({
      sport: port,
      dport: PORT,
      flags: TCP_FLAG.syn,
      seq: port,
      window: 65_535,
      toa,
    });
    const [synAck] = stranger.receive(SYN_ACK, 1);
    if (!synAck) throw new Error('no answer');
    stranger.reply(synAck, TCP_FLAG.ack, { toa });
    awaitQueued(listener, 1);
    return accepted();
  });
  for (const said of stranger.receive(TCP_FLAG.ack | TCP_FLAG.psh, TIMES))
    stranger.reply(said, TCP_FLAG.ack);
  for (const socket of balanced) socket.close();
  for (const fin of stranger.receive(FIN_ACK, TIMES)) stranger.reply(fin, FIN_ACK);
  stranger.receive(TCP_FLAG.ack, TIMES);
  hangUp(pairs);
}
