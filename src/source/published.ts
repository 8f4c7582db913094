// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { list, ownNetns } from '../host/netns.ts';
import { namespacePlaces, ownAddresses } from '../host/places.ts';
import { netlinkStrict } from '../native/binding.ts';
import { familyOf } from '../tcp/address.ts';
import { endpoint, parsePort, splitEndpoint } from '../tcp/endpoint.ts';
import { isHost, parseNet } from '../tcp/network.ts';
import { type Filter, MOST_TARGETS, type Target } from './filter.ts';
import { natRulesOf } from './host-facts.ts';

export interface PublishingHost {
  /** Addresses of this namespace. */
  own: readonly string[];
  /** Whether another namespace has it: all of them are asked. */
  isOfAnother(address: string): boolean;
  /** Every end that this namespace may send on what is dialled. */
  sentTo(address: string, port: number): readonly string[];
}

/**
 * With the ports of containers that ports of this host are published for: what was dialled is known in this
 * namespace only, and a container sees nothing but its own port. REDIRECT to a port of this host adds nothing:
 * other ports may go there too.
 */
export function withPublished(filter: Filter, host: () => PublishingHost): Filter {
  const { groups, netns } = filter;
  const wanted = groups.flat().filter(({ port, net }) => port !== null && (!net || isHost(net)));
  if (netns !== null || wanted.length === 0) return filter;
  const { own, isOfAnother, sentTo } = host();
  const room = MOST_TARGETS - groups.flat().length;
  const found = groups.map((targets) => {
    const ends = targets.flatMap(({ net, port }) =>
      port === null || (net && !isHost(net))
        ? []
        : (net ? [net.address] : own).flatMap((address) => sentTo(address, port)),
    );
    return [...new Set(ends)].flatMap(targetOf).filter(({ net }) => {
      const address = net?.address ?? '';
      return !own.includes(address) && isOfAnother(address);
    });
  });
  if (found.flat().length > room) return filter;
  return { groups: groups.map((targets, at) => [...targets, ...(found[at] ?? [])]), netns };
}

function targetOf(end: string): Target[] {
  const { host, port } = splitEndpoint(end) ?? { host: '', port: null };
  const net = parseNet(host);
  return net ? [{ net, port: parsePort(port ?? '') }] : [];
}

/** Of nobody: whoever dials from elsewhere. */
const SOMEBODY = { 4: '192.0.2.1', 6: '2001:db8::1' } as const;

/** As this host is now. */
export function publishingHost(): PublishingHost {
  const netns = ownNetns();
  const ask = (path: string) => (requests: Buffer[]) => netlinkStrict(requests, path);
  const rules = natRulesOf(netns);
  const proxies = list('/proc').flatMap(proxyOf);
  let others: ReadonlySet<string> | null = null;
  return {
    own: ['127.0.0.1', '::1', ...ownAddresses(ask)],
    isOfAnother(address) {
      others ??= new Set(
        [...namespacePlaces(ask)].flatMap(([inode, { addresses }]) =>
          inode === netns ? [] : addresses,
        ),
      );
      return others.has(address);
    },
    sentTo: (address, port) => [
      ...proxies.flatMap((one) => (one.port === port ? [one.to] : [])),
      ...(['prerouting', 'output'] as const).flatMap((hook) => {
        const saddr = hook === 'output' ? address : SOMEBODY[familyOf(address)];
        return rules?.(hook, { saddr, sport: 0, daddr: address, dport: port, service: 0 }) ?? [];
      }),
    ],
  };
}

/** What one of Docker's own proxies passes on, which its arguments say. */
function proxyOf(pid: string): { port: number; to: string }[] {
  if (!/^\d+$/.test(pid)) return [];
  try {
    if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'docker-proxy') return [];
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    const given = (name: string) => args[args.indexOf(name) + 1] ?? '';
    const [port, to_port] = [Number(given('-host-port')), Number(given('-container-port'))];
    const address = given('-container-ip');
    if (given('-proto') !== 'tcp' || !(port > 0) || !(to_port > 0) || !address) return [];
    return [{ port, to: endpoint(address, to_port) }];
  } catch {
    // Gone meanwhile.
    return [];
  }
}
