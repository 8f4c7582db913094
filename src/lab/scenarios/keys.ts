// SPDX-License-Identifier: Apache-2.0

import { must, Socket } from '../../native/sockets.ts';
import { addressBytes, type Family } from '../../tcp/address.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { awaitTimeout, dialWith, listen, localOf } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { Stranger } from '../stranger.ts';
import { HOSTS } from '../wiring.ts';
import { giveUpSoon } from './silence.ts';

const PORT = 179;
const IPPROTO_TCP = 6;
const TCP_MD5SIG = 14;
const TCP_AO_ADD_KEY = 38;
const AF_INET = 2;
const AF_INET6 = 10;
const MD5_OPTION = [19, 18, ...new Array<number>(16).fill(0)];
const TWO_MD5 = Buffer.from([...MD5_OPTION, ...MD5_OPTION]);
const STORAGE = 128;
const LONGEST_KEY = 80;

/** Why no TCP-MD5 can be had here, or null. */
export function md5Lacks(): string | null {
  using socket = Socket.open({ family: 4 });
  const { error } = socket.setsockopt(IPPROTO_TCP, TCP_MD5SIG, md5sig('10.4.26.45', 4, 'x'));
  return error === null ? null : 'a kernel with TCP-MD5';
}

/** Why no TCP-AO can be had here, or null. */
export function aoLacks(): string | null {
  using socket = Socket.open({ family: 4 });
  const { error } = socket.setsockopt(IPPROTO_TCP, TCP_AO_ADD_KEY, ao('10.4.26.45', 4, 'x'));
  return error === null ? null : 'a kernel with TCP-AO';
}

/** struct sockaddr_storage. */
function storage(peer: string, family: Family): Buffer {
  const made = Buffer.alloc(STORAGE);
  made.writeUInt16LE(family === 4 ? AF_INET : AF_INET6, 0);
  if (family === 4) Buffer.from(addressBytes(peer)).copy(made, 4, 12);
  else Buffer.from(addressBytes(peer)).copy(made, 8);
  return made;
}

/** struct tcp_ao_add: a key whose id is 100, or the number behind it. */
function ao(peer: string, family: Family, named: string): Buffer {
  const [key = '', id = 100] = named.split(' ');
  const more = Buffer.alloc(80 + LONGEST_KEY);
  more.write('hmac(sha1)', 0);
  more.writeUInt8(family === 4 ? 32 : 128, 74);
  more.writeUInt8(Number(id), 75);
  more.writeUInt8(Number(id), 76);
  more.writeUInt8(key.length, 79);
  more.write(key, 80);
  return Buffer.concat([storage(peer, family), more]);
}

/** struct tcp_md5sig. */
function md5sig(peer: string, family: Family, key: string): Buffer {
  const made = Buffer.concat([storage(peer, family), Buffer.alloc(8 + LONGEST_KEY)]);
  made.writeUInt16LE(key.length, STORAGE + 2);
  made.write(key, STORAGE + 8);
  return made;
}

type SetKey = (socket: Socket, peer: string, family: Family, key: string) => void;

const setMd5: SetKey = (socket, peer, family, key) => {
  must(socket.setsockopt(IPPROTO_TCP, TCP_MD5SIG, md5sig(peer, family, key)), 'setsockopt');
};
const setAo: SetKey = (socket, peer, family, key) => {
  must(socket.setsockopt(IPPROTO_TCP, TCP_AO_ADD_KEY, ao(peer, family, key)), 'setsockopt');
};

interface Keys {
  server: string | null;
  client: string | null;
}

/** Connects in which an end has this key, or none; each is given up at once. */
function unauthorised(
  lab: Lab,
  { times, family }: Options,
  setKey: SetKey,
  { server: there, client: here }: Keys,
): Made {
  const server = { address: HOSTS[family].server, port: PORT };
  using listener = listen(lab, family, PORT, times);
  const set = (socket: Socket, peer: string, key: string | null) => {
    if (key !== null) setKey(socket, peer, family, key);
  };
  set(listener, HOSTS[family].client, there);
  const sockets = dialWith(lab, lab.client, server, times, (socket) =>
    set(socket, server.address, here),
  );
  const clients = sockets.map(localOf);
  for (const socket of sockets) socket.close();
  return { server, clients, netns: lab.server.inode };
}

const md5 = (variant: string, title: string, keys: string, set: Keys): ScenarioEntry => ({
  id: `md5-mismatch${variant}`,
  cause: 'md5-mismatch',
  title,
  needs: 'md5',
  drop_reason: 'TCP_MD5NOTFOUND',
  says: () => ({ keys }),
  run: (lab, options) => unauthorised(lab, options, setMd5, set),
});

const tcpAo = (variant: string, title: string, keys: string, set: Keys): ScenarioEntry => ({
  id: `ao-mismatch${variant}`,
  cause: 'ao-mismatch',
  title,
  needs: 'ao',
  says: () => ({ keys }),
  run: (lab, options) => unauthorised(lab, options, setAo, set),
});

const keys: ScenarioEntry[] = [
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
    beside: ['md5-mismatch'],
    title: 'connects without the TCP-MD5 key that the listener has',
    needs: 'md5',
    drop_reason: 'TCP_MD5NOTFOUND',
    prepare: (lab) => giveUpSoon(lab.client),
    run(lab, options) {
      const { times, family } = options;
      const server = { address: HOSTS[family].server, port: PORT };
      using listener = listen(lab, family, PORT, times);
      setMd5(listener, HOSTS[family].client, family, 'alpha');
      const sockets = dialWith(lab, lab.client, server, times, () => {});
      const clients = sockets.map(localOf);
      awaitTimeout(sockets);
      return { server, clients, netns: lab.client.inode };
    },
  },
  {
    id: 'ao-mismatch/twice',
    title: 'SYNs with two signatures',
    drop_reason: 'TCP_AUTH_HDR',
    says: () => ({ keys: 'unreadable' }),
    run(lab, { times, family }) {
      using stranger = new Stranger(lab, family);
      listen(lab, family, PORT, times);
      const clients = lab.ports(times);
      for (const sport of clients)
        stranger.send({ sport, dport: PORT, flags: TCP_FLAG.syn, options: TWO_MD5, window: 65535 });
      return {
        server: { address: HOSTS[family].server, port: PORT },
        clients: clients.map((port) => ({ address: stranger.address, port })),
        netns: lab.server.inode,
      };
    },
  },
  tcpAo('', 'SYNs without a signature, to a listener that has a TCP-AO key', 'only here', {
    server: 'alpha',
    client: null,
  }),
  tcpAo('/unexpected', 'SYNs with TCP-AO that the listener has no key for', 'only there', {
    server: null,
    client: 'alpha',
  }),
  tcpAo('/other-key', 'SYNs signed with another TCP-AO key than the listener has', 'differ', {
    server: 'alpha',
    client: 'beta',
  }),
  tcpAo(
    '/other-id',
    'SYNs whose TCP-AO key has an id that the listener does not know',
    'other id',
    {
      server: 'alpha 100',
      client: 'alpha 101',
    },
  ),
];

export default [...keys] satisfies ScenarioEntry[];
