// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import {
  accept,
  awaitReset,
  dial,
  lingerZero,
  listen,
  type Pair,
} from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import type { Family } from '../../src/tcp/address.ts';
import { endpoint } from '../../src/tcp/endpoint.ts';
import { Running } from './tcpwhy.ts';

const TIMES = 7;
/** Above nearly all ports of its clients, whatever range they have. */
const PORT = 65_001;
const ANY_PORTS = '1024 65535';

interface Case {
  /** Where tcpwhy looks, and where the clients are. */
  at: 'client' | 'server';
  from: 'client' | 'server';
  cause: string;
  /** Which end has a range of ports that tells nothing. */
  any: ('client' | 'server')[];
  /** Connections that are opened, the same way, when tcpwhy watches. */
  more: number;
  how: string;
}

const CASES: Case[] = [
  { at: 'server', from: 'client', any: ['client', 'server'], more: 0, how: 'it listens' },
  { at: 'client', from: 'client', any: ['client'], more: 1, how: 'it is dialled again' },
  { at: 'client', from: 'client', any: [], more: 0, how: 'clients have other ports' },
  { at: 'client', from: 'client', any: ['client'], more: 0, how: 'connect() chose its own port' },
  {
    at: 'server',
    from: 'server',
    any: ['server'],
    more: 0,
    how: 'it listens, and both ends are here',
  },
].map((one) => ({
  ...(one as Omit<Case, 'cause'>),
  cause: one.at === 'server' ? 'linger-zero-close' : 'reset-by-peer',
}));

it.each(CASES.flatMap((one) => ([4, 6] as const).map((family) => ({ ...one, family }))))(
  'knows the service of connections older than itself, seen at the $at, because $how (IPv$family)',
  async ({ at, from, any, more, cause, family }: Case & { family: Family }) => {
    using lab = Lab.open();
    for (const end of any) lab[end].sysctl({ 'net.ipv4.ip_local_port_range': ANY_PORTS });
    using listener = listen(lab, family, PORT, TIMES);
    const service = { address: HOSTS[family].server, port: PORT };
    const open = (times: number) => accept(listener, dial(lab, lab[from], service, times));
    const older = open(TIMES);
    await using tcpwhy = await Running.start(['--netns', lab[at].name]);
    const newer = open(more);
    cutOff([...older, ...newer]);
    const times = TIMES + more;
    await tcpwhy.until((output) => output.count(cause) >= times, 5000);
    const { findings } = await tcpwhy.stop();
    expect(findings.map((one) => [one.cause, one.where, one.count])).toEqual([
      [cause, endpoint(service.address, PORT), times],
    ]);
  },
);

function cutOff(pairs: Pair[]): void {
  for (const { server } of pairs) {
    lingerZero(server);
    server.close();
  }
  awaitReset(
    pairs.map(({ client }) => client),
    'ECONNRESET',
  );
}
