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
import { bracketed } from '../../src/lab/nat.ts';
import { rewritePeers, rewriterLacks, rewritten } from '../../src/lab/rewriter.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { FIN_ACK, Stranger, SYN_ACK } from '../../src/lab/stranger.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { must, POLLIN, type Socket } from '../../src/native/sockets.ts';
import type { Family } from '../../src/tcp/address.ts';
import { TCP_FLAG } from '../../src/tcp/flags.ts';
import { lacking } from '../software/service.ts';
import { Tcpdump } from '../software/tcpdump.ts';
import { Running } from './tcpwhy.ts';
import { Watched } from './watched.ts';

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

/** Ends of the lab's hosts; `behind` is a host behind the lab's server. */
function ends(family: Family) {
  const { server, vip, nowhere } = HOSTS[family];
  const at = (address: string, port: number) => bracketed(family, address, port);
  return {
    vip: at(vip, 80),
    proxy: at(server, 15006),
    upstream: at(server, 8080),
    behind: at(BEHIND[family], 8080),
    balancer: at(nowhere, 3306),
    stranger: at(nowhere, 8080),
  };
}

const BEHIND = { 4: '10.4.27.2', 6: '2001:db8:27::2' } as const;

/** What is said live, and of captures at the client and at the server, of each end how often. */
type Made = (at: ReturnType<typeof ends>) => { live: Told; client: Told; server: Told };

/** A proxy at the server, its client, and what it dials there. */
const proxied =
  (seen: string, live: string, captured: string, upstream: 'upstream' | 'behind'): Made =>
  ({ proxy, ...at }) => ({
    live: { [`proxy-upstream-failed ${proxy}`]: TIMES, [`${live} ${at[upstream]}`]: TIMES },
    client: { [`${seen} ${proxy}`]: TIMES },
    server: { [`proxy-upstream-failed ${proxy}`]: TIMES, [`${captured} ${at[upstream]}`]: TIMES },
  });

const SEEN: Record<string, Made> = {
  'synack-wrong-source': ({ vip }) => {
    const told = { [`synack-wrong-source ${vip}`]: TIMES };
    return { live: told, client: told, server: told };
  },
  // The proxy's own connect never leaves its host; its client's half does not tell that it is why.
  'proxy-upstream-failed': proxied('reset-by-peer', 'no-listener', 'connect-refused', 'upstream'),
  'proxy-upstream-failed/data-after-close': proxied(
    'data-after-close',
    'no-listener',
    'connect-refused',
    'upstream',
  ),
  'proxy-upstream-failed/reset': proxied(
    'reset-by-peer',
    'linger-zero-close',
    'reset-by-peer',
    'behind',
  ),
  // A connect that never became a packet.
  'proxy-upstream-failed/no-route': ({ proxy, stranger }) => ({
    live: { [`proxy-upstream-failed ${proxy}`]: TIMES, [`no-route ${stranger}`]: TIMES },
    client: { [`reset-by-peer ${proxy}`]: TIMES },
    server: { [`reset-by-peer ${proxy}`]: TIMES },
  }),
  'peer-window-shut': ({ stranger }) => {
    const told = { [`peer-window-shut ${stranger}`]: TIMES };
    return { live: told, client: {}, server: told };
  },
  'peer-window-shut/never-open': ({ stranger }) => {
    const told = { [`peer-window-shut ${stranger}`]: TIMES };
    return { live: told, client: {}, server: told };
  },
  // The client of the balancer is the lab's server; the other end sends by hand, and nothing arrives there.
  'crossed-reply': ({ balancer }) => {
    const told = { [`crossed-reply ${balancer}`]: TIMES };
    return { live: told, client: {}, server: told };
  },
};

const ROWS = Object.keys(SEEN).flatMap((id) =>
  (SCENARIOS.find((one) => one.id === id)?.families ?? []).map((family) => [id, family] as const),
);

it.for(ROWS)('%s, IPv%d', async ([id, family], { skip }) => {
  const missing = lacking('tcpdump');
  skip(missing !== null, missing ?? '');
  const scenario = SCENARIOS.find((one) => one.id === id);
  if (!scenario) throw new Error(`no scenario ${id}`);
  const lab = watched.lab();
  const options = { times: TIMES, family };
  scenario.prepare?.(lab, options);
  const told = await madeIn(lab, scenario.cause, () => scenario.run(lab, options));
  expect(told).toEqual(SEEN[id]?.(ends(family)));
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
