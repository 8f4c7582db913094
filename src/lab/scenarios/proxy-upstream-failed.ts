// SPDX-License-Identifier: Apache-2.0

import { type Address, must, POLLIN, POLLRDHUP, type Socket } from '../../native/sockets.ts';
import {
  accept,
  awaitAll,
  awaitReset,
  dial,
  failAtOnce,
  lingerZero,
  listen,
  localOf,
  type Pair,
  say,
} from '../connections.ts';
import type { Lab } from '../lab.ts';
import { redirect } from '../nat.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { HOSTS, plug } from '../wiring.ts';

const PORT = 15006;
const UPSTREAM_PORT = 8080;
/** What the client dials that is redirected. */
const REDIRECTED = 443;
const LOOPBACK = { 4: '127.0.0.1', 6: '::1' } as const;

interface Way {
  /** The proxy's own connect, which fails. */
  dials(to: Address): void;
  /** Gives the client up; comes back when it knows. */
  givesUp(pair: Pair): void;
  upstream(options: Options): string;
  /** The client is on the proxy's host, which redirects its connects to the proxy. */
  own?: true;
}

/** One client after the other: each sends a request, and the proxy cannot pass it on. */
function proxied(lab: Lab, options: Options, way: Way): Made {
  const { times, family } = options;
  const { dials, givesUp, upstream, own } = way;
  const address = own ? LOOPBACK[family] : HOSTS[family].server;
  const server = { address, port: PORT };
  using listener = listen(lab, family, PORT, times, { address });
  const clients = Array.from({ length: times }, () => {
    const dialled = own ? { address: HOSTS[family].client, port: REDIRECTED } : server;
    const from = own ? lab.server : lab.client;
    const [pair] = accept(listener, dial(lab, from, dialled, 1));
    if (!pair) throw new Error('nothing was accepted');
    say([pair.client], 'GET / HTTP/1.1\r\n\r\n');
    awaitAll([pair.server], POLLIN, 'the request');
    const client = localOf(pair.client);
    const to = { address: upstream(options), port: UPSTREAM_PORT };
    dials(to);
    givesUp(pair);
    return client;
  });
  return { server, clients, netns: lab.server.inode };
}

const refused = (lab: Lab): Pick<Way, 'upstream' | 'dials'> => ({
  upstream: ({ family }) => HOSTS[family].server,
  dials: (to) => awaitReset(dial(lab, lab.server, to, 1), 'ECONNREFUSED'),
});

function closes({ client, server }: Pair): void {
  server.close();
  awaitReset([client], 'ECONNRESET');
}

/** What the proxy dials, on a host of its own. */
const BEHIND = { 4: '10.4.27.2', 6: '2001:db8:27::2' } as const;
const IN_FRONT = { 4: '10.4.27.1/24', 6: '2001:db8:27::1/64' } as const;

function upstreamOf(lab: Lab, { family, times }: Options): Socket {
  const behind = lab.netns('behind');
  plug(
    { netns: lab.server, device: 's1', mac: '02:00:00:00:01:11' },
    { netns: behind, device: 'b0', mac: '02:00:00:00:01:22' },
  );
  const nodad = family === 6 ? ' nodad' : '';
  lab.server.ip(`addr add ${IN_FRONT[family]} dev s1${nodad}`);
  behind.ip(`addr add ${BEHIND[family]}/${family === 4 ? 24 : 64} dev b0${nodad}`);
  const listener = lab.socket(behind, { family });
  must(listener.bind(BEHIND[family], UPSTREAM_PORT), 'bind');
  must(listener.listen(2 * times), 'listen');
  return listener;
}

/** One client after the other, each with so many connections behind it that are reset while they wait for an answer. */
function resetBehind(lab: Lab, options: Options, behind: number): Made {
  const { times, family } = options;
  const server = { address: HOSTS[family].server, port: PORT };
  const upstream = { address: BEHIND[family], port: UPSTREAM_PORT };
  using listener = listen(lab, family, PORT, times);
  using behindIt = upstreamOf(lab, options);
  const clients = Array.from({ length: times }, () => {
    const [pair] = accept(listener, dial(lab, lab.client, server, 1));
    if (!pair) throw new Error('nothing was accepted');
    say([pair.client], 'GET / HTTP/1.1\r\n\r\n');
    awaitAll([pair.server], POLLIN, 'the request');
    const pairs = accept(behindIt, dial(lab, lab.server, upstream, behind));
    const dialled = pairs.map(({ client }) => client);
    say(dialled, 'GET / HTTP/1.1\r\n\r\n');
    const accepted = pairs.map(({ server }) => server);
    awaitAll(accepted, POLLIN, 'the request');
    for (const socket of accepted) {
      socket.recv();
      lingerZero(socket);
      socket.close();
    }
    awaitReset(dialled, 'ECONNRESET');
    const client = localOf(pair.client);
    pair.server.recv();
    lingerZero(pair.server);
    closes(pair);
    return client;
  });
  return { server, clients, netns: lab.server.inode };
}

export default [
  {
    id: 'proxy-upstream-failed',
    beside: ['no-listener'],
    title: 'a sidecar accepts for an application that is down, and closes with the request unread',
    run: (lab, options) => proxied(lab, options, { ...refused(lab), givesUp: closes }),
  },
  {
    id: 'proxy-upstream-failed/redirected',
    beside: ['no-listener'],
    title:
      'the same, and it is the client’s own host that redirects its connects to the sidecar: another address at each end',
    commands: ['nft'],
    prepare: (lab, { family }) =>
      redirect(lab.server, family, `tcp dport ${REDIRECTED}`, `redirect to :${PORT}`),
    run: (lab, options) => proxied(lab, options, { ...refused(lab), givesUp: closes, own: true }),
  },
  {
    id: 'proxy-upstream-failed/linger-zero',
    beside: ['no-listener'],
    title: 'the same, and the sidecar aborts with SO_LINGER 0',
    run: (lab, options) =>
      proxied(lab, options, {
        ...refused(lab),
        givesUp(pair) {
          lingerZero(pair.server);
          closes(pair);
        },
      }),
  },
  {
    id: 'proxy-upstream-failed/data-after-close',
    beside: ['no-listener'],
    title: 'the same, the sidecar has read the request, and the client sends more',
    run: (lab, options) =>
      proxied(lab, options, {
        ...refused(lab),
        givesUp({ client, server }) {
          server.recv();
          server.close();
          awaitAll([client], POLLRDHUP, 'the end of the stream');
          say([client], 'one more thing');
          awaitReset([client], 'EPIPE');
        },
      }),
  },
  {
    id: 'proxy-upstream-failed/unanswered',
    title: 'a sidecar gives up a connect that nobody answers, and closes with the request unread',
    run: (lab, options) =>
      proxied(lab, options, {
        upstream: ({ family }) => HOSTS[family].nowhere,
        dials(to) {
          for (const upstream of dial(lab, lab.server, to, 1)) upstream.close();
        },
        givesUp: closes,
      }),
  },
  {
    id: 'proxy-upstream-failed/no-route',
    beside: ['no-route'],
    title: 'a sidecar whose own connect has no route, and closes with the request unread',
    says: () => ({ upstream_error: 'ENETUNREACH', upstream_cause: 'no-route' }),
    prepare: (lab, { family }) => lab.server.ip(`route del ${HOSTS[family].nowhere}`),
    run: (lab, options) =>
      proxied(lab, options, {
        upstream: ({ family }) => HOSTS[family].nowhere,
        dials: (to) => failAtOnce(lab, lab.server, to, 1, 'ENETUNREACH'),
        givesUp: closes,
      }),
  },
  {
    id: 'proxy-upstream-failed/reset',
    beside: ['linger-zero-close'],
    title:
      'a proxy whose own connection is reset while it waits for the answer, and resets its client',
    says: () => ({ upstream_was_open: true, upstream_cause: 'linger-zero-close' }),
    run: (lab, options) => resetBehind(lab, options, 1),
  },
  {
    id: 'proxy-upstream-failed/reset-one-of',
    beside: ['linger-zero-close'],
    title: 'the same, and it had two such connections that were reset',
    says: () => ({ upstream_was_open: true, upstream_cause: null }),
    run: (lab, options) => resetBehind(lab, options, 2),
  },
] satisfies ScenarioEntry[];
