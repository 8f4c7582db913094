// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { placeOf } from '../known/container.ts';
import { inodeOf, list } from './netns.ts';
import { type Ask, addressesOfBoth } from './routes.ts';

/** A network namespace of this host. */
export interface NamespacePlace {
  /** As `ip netns` has it; empty: it has none there. */
  netns_name: string;
  /** Where it can be entered. */
  entry: string;
  /** The cgroup that all its processes are in, so far as they have it in common. */
  path: string;
  /** Addresses that others can reach it by. */
  addresses: readonly string[];
}

/** Of each namespace so many processes are asked. */
const MOST_ASKED = 64;

/** Of all network namespaces; `ask` gives netlink of the one at a path. */
export function namespacePlaces(ask: (netns: string) => Ask): Map<number, NamespacePlace> {
  const names = new Map<number, string>();
  for (const name of list('/run/netns')) {
    const inode = inodeOf(`/run/netns/${name}`);
    if (inode !== null && !names.has(inode)) names.set(inode, name);
  }
  const processes = new Map<number, string[]>([...names.keys()].map((inode) => [inode, []]));
  for (const pid of list('/proc')) {
    const inode = /^\d+$/.test(pid) ? inodeOf(`/proc/${pid}/ns/net`) : null;
    if (inode === null) continue;
    const known = processes.get(inode);
    if (!known) processes.set(inode, [pid]);
    else if (known.length < MOST_ASKED) known.push(pid);
  }
  return new Map(
    [...processes].map(([inode, pids]) => {
      const netns_name = names.get(inode) ?? '';
      const entry = netns_name === '' ? `/proc/${pids[0]}/ns/net` : `/run/netns/${netns_name}`;
      const path = inCommon(pids.values().map((pid) => processCgroup(Number(pid))));
      return [inode, { netns_name, entry, path, addresses: addressesIn(ask, entry) }];
    }),
  );
}

/** Of this process's own namespace. */
export function ownAddresses(ask: (netns: string) => Ask): string[] {
  return addressesIn(ask, '/proc/self/ns/net');
}

function addressesIn(ask: (netns: string) => Ask, entry: string): string[] {
  try {
    return addressesOfBoth(ask(entry)).filter(isReachable);
  } catch {
    // Gone meanwhile.
    return [];
  }
}

/** Not those that every namespace has, or may have. */
const isReachable = (address: string) => !/^(127\.|169\.254\.|::1$|fe[89ab])/.test(address);

/**
 * The cgroup of a process, of the hierarchy that tells most: one that is in a container, else of systemd. Null
 * where the process is gone.
 */
export function processCgroup(pid: number): string | null {
  try {
    const found = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
      .split('\n')
      .flatMap((line) => {
        const [, hierarchy, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
        return path === undefined ? [] : [{ hierarchy, path }];
      });
    const contained = found.find(({ path }) => {
      const { container, pod_uid } = placeOf(path);
      return container !== null || pod_uid !== null;
    });
    const ofSystemd = found.find(
      ({ hierarchy, path }) => path !== '/' && (hierarchy === '' || hierarchy === 'name=systemd'),
    );
    return (contained ?? ofSystemd)?.path ?? '/';
  } catch {
    return null;
  }
}

/** Null: a process that is gone. Once they have nothing in common the others are not asked: of the host's own there are most. */
export function inCommon(paths: Iterable<string | null>): string {
  let common: string[] | null = null;
  for (const path of paths) {
    if (path === null) continue;
    const levels = path === '/' ? [''] : path.split('/');
    let same = 0;
    while (common && same < common.length && common[same] === levels[same]) same++;
    common = common ? common.slice(0, same) : levels;
    if (common.join('/') === '') break;
  }
  return common?.join('/') || '/';
}
