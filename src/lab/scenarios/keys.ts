// SPDX-License-Identifier: Apache-2.0

import { must, Socket } from '../../native/sockets.ts';
import { addressBytes, type Family } from '../../tcp/address.ts';
import { awaitTimeout, dialWith, listen, localOf } from '../connections.ts';
import type { Lab } from '../lab.ts';
import { BOTH, type Made, type Options, type Scenario } from '../scenario.ts';
import { HOSTS } from '../wiring.ts';
import { giveUpSoon } from './silence.ts';

const PORT = 179;
const IPPROTO_TCP = 6;
const TCP_MD5SIG = 14;
const AF_INET = 2;
const AF_INET6 = 10;
const STORAGE = 128;
const LONGEST_KEY = 80;

/** Why no TCP-MD5 can be had here, or null. */
export function md5Lacks(): string | null {
  using socket = Socket.open({ family: 4 });
  const { error } = socket.setsockopt(IPPROTO_TCP, TCP_MD5SIG, md5sig('10.4.26.45', 4, 'x'));
  return error === null ? null : 'a kernel with TCP-MD5';
}

/** struct tcp_md5sig. */
function md5sig(peer: string, family: Family, key: string): Buffer {
  const made = Buffer.alloc(STORAGE + 8 + LONGEST_KEY);
  made.writeUInt16LE(family === 4 ? AF_INET : AF_INET6, 0);
  if (family === 4) Buffer.from(addressBytes(peer)).copy(made, 4, 12);
  else Buffer.from(addressBytes(peer)).copy(made, 8);
  made.writeUInt16LE(key.length, STORAGE + 2);
  made.write(key, STORAGE + 8);
  return made;
}

/** Connects in which an end has this key, or none; each is given up after two SYNs. */
function unauthorised(
  lab: Lab,
  { times, family }: Options,
  { server: there, client: here }: { server: string | null; client: string | null },
): Made {
  const server = { address: HOSTS[family].server, port: PORT };
  using listener = listen(lab, family, PORT, times);
  const set = (socket: Socket, peer: string, key: string | null) => {
    if (key === null) return;
    must(socket.setsockopt(IPPROTO_TCP, TCP_MD5SIG, md5sig(peer, family, key)), 'setsockopt');
  };
  set(listener, HOSTS[family].client, there);
  const sockets = dialWith(lab, lab.client, server, times, (socket) =>
    set(socket, server.address, here),
  );
  const clients = sockets.map(localOf);
  for (const socket of sockets) socket.close();
  return { server, clients, netns: lab.server.inode };
}

const md5 = (
  variant: string,
  title: string,
  keys: string,
  set: { server: string | null; client: string | null },
): Scenario => ({
  id: `md5-mismatch${variant}`,
  cause: 'md5-mismatch',
  title,
  families: BOTH,
  needs: 'md5',
  drop_reason: 'TCP_MD5NOTFOUND',
  says: () => ({ keys }),
  run: (lab, options) => unauthorised(lab, options, set),
});

export const keys: Scenario[] = [
  md5('', 'SYNs without a signature, to a listener that has a TCP-MD5 key', 'only here', {
    server: 'alpha',
    client: null,
  }),
  md5(
    '/unexpected',
    'SYNs with a TCP-MD5 signature that the listener has no key for',
    'only there',
    {
      server: null,
      client: 'alpha',
    },
  ),
  md5('/other-key', 'SYNs signed with another TCP-MD5 key than the listener has', 'differ', {
    server: 'alpha',
    client: 'beta',
  }),
  {
    id: 'connect-timeout/md5-mismatch',
    cause: 'connect-timeout',
    beside: ['md5-mismatch'],
    title: 'connects without the TCP-MD5 key that the listener has',
    families: BOTH,
    needs: 'md5',
    drop_reason: 'TCP_MD5NOTFOUND',
    prepare: (lab) => giveUpSoon(lab.client),
    run(lab, options) {
      const { times, family } = options;
      const server = { address: HOSTS[family].server, port: PORT };
      using listener = listen(lab, family, PORT, times);
      const key = md5sig(HOSTS[family].client, family, 'alpha');
      must(listener.setsockopt(IPPROTO_TCP, TCP_MD5SIG, key), 'setsockopt');
      const sockets = dialWith(lab, lab.client, server, times, () => {});
      const clients = sockets.map(localOf);
      awaitTimeout(sockets);
      return { server, clients, netns: lab.client.inode };
    },
  },
];
