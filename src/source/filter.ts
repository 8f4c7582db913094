// SPDX-License-Identifier: Apache-2.0

import { addressBytes } from '../tcp/address.ts';
import { isHost, isWithin, type Net, prefixOf } from '../tcp/network.ts';
import type { Flow } from '../wire/types.gen.ts';

/** As the BPF programs have room for (filter_targets of bpf/include/maps.h). */
export const MOST_TARGETS = 16;

/** Either may be at either end; null means any. */
export interface Target {
  net: Net | null;
  port: number | null;
}

/** What is reported: what matches a target of each group, in that namespace. */
export interface Filter {
  groups: readonly (readonly Target[])[];
  /** Inode number; null means any. */
  netns: number | null;
}

export const EVERYTHING: Filter = { groups: [], netns: null };

/** For people: a text for each that has to hold. */
export function filterText({ groups, netns }: Filter): string[] {
  return [
    ...groups.map((targets) => targets.map(targetText).join(' or ')),
    ...(netns === null ? [] : [`netns ${netns}`]),
  ];
}

function targetText({ net, port }: Target): string {
  const host = net && (isHost(net) ? `host ${net.address}` : `net ${net.address}/${net.bits}`);
  return [host, port === null ? null : `port ${port}`].filter((part) => part !== null).join(' ');
}

/** struct filter_target of bpf/include/maps.h. */
const TARGET_BYTES = 36;
const MASK = 16;
const PORT = 32;
const GROUP = 34;

/** The filter as the programs' `const volatile` variables. */
export function filterRodata({ groups, netns }: Filter): Record<string, Uint8Array> {
  const filter_targets = Buffer.alloc(MOST_TARGETS * TARGET_BYTES);
  let at = 0;
  for (const [group, targets] of groups.entries()) {
    for (const { net, port } of targets) {
      if (net) {
        const { address, mask } = prefixOf(net);
        filter_targets.set(address, at);
        filter_targets.set(mask, at + MASK);
      }
      filter_targets.writeUInt16LE(port ?? 0, at + PORT);
      filter_targets.writeUInt16LE(1 << group, at + GROUP);
      at += TARGET_BYTES;
    }
  }
  return {
    filter_netns: word(netns ?? 0),
    filter_targets,
    filter_count: word(at / TARGET_BYTES),
    filter_groups: word((1 << groups.length) - 1),
  };
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** Addresses of which it is remembered where they belong. */
const MOST_REMEMBERED = 100_000;

/** What bpf/include/filter.h does, on events of a recording. */
export function matcher({ groups, netns }: Filter): (netns: number, flow: Flow) => boolean {
  const targets = groups.flatMap((group, number) =>
    group.map(({ net, port }) => ({ net: net && prefixOf(net), port, group: 1 << number })),
  );
  const all = (1 << groups.length) - 1;
  const known = new Map<string, number>();
  /** A bit for each target that has it. */
  const at = (address: string): number => {
    const before = known.get(address);
    if (before !== undefined) return before;
    const bytes = addressBytes(address);
    const found = targets.reduce(
      (bits, { net }, i) => (!net || isWithin(bytes, net) ? bits | (1 << i) : bits),
      0,
    );
    if (known.size >= MOST_REMEMBERED) known.clear();
    known.set(address, found);
    return found;
  };
  return (inode, { saddr, daddr, sport, dport }) => {
    if (netns !== null && inode !== netns) return false;
    const hosts = targets.length > 0 ? at(saddr) | at(daddr) : 0;
    let met = 0;
    for (const [i, { port, group }] of targets.entries()) {
      if ((hosts >> i) & 1 && (port === null || port === sport || port === dport)) met |= group;
    }
    return met === all;
  };
}
