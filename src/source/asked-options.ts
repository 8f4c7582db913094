// SPDX-License-Identifier: Apache-2.0

import { parseAddress } from '../tcp/address.ts';
import { parseNet } from '../tcp/network.ts';
import type { AttachOptions } from './attach.ts';
import { MOST_TARGETS, type Target } from './filter.ts';
import { mayBeToa } from './toa.ts';

/** As many as there are where a file is written, and more than that nobody asks for. */
const MOST_RECORDS = 1000;
const MOST_INODE = 2 ** 32 - 1;
const MOST_PORT = 2 ** 16 - 1;
const MOST_PATH = 4096;
/** What was told of is not older than a second. */
const MOST_RESTS_MS = 1000;

/**
 * How to attach, as the other half asks for it; null: in no way that it could. It may be anybody who may use
 * the service.
 */
export function parseOptions(value: unknown): AttachOptions | null {
  const { filter, records_per_s, burst, every_record, tier, ...others } = isObject(value)
    ? value
    : { unlike: value };
  const { btf, host_name, rests_ms, toa_kinds, ...more } = others;
  if (Object.keys(more).length > 0) return null;
  if (!isFilter(filter) || !isWithin(records_per_s, 1, MOST_RECORDS)) return null;
  if (tier !== 'hooks' && tier !== 'tracepoints') return null;
  if (burst !== undefined && !isWithin(burst, 1, MOST_RECORDS)) return null;
  if (![every_record, host_name].every((one) => one === undefined || typeof one === 'boolean'))
    return null;
  if (rests_ms !== undefined && !isWithin(rests_ms, 0, MOST_RESTS_MS)) return null;
  if (btf !== undefined && !(typeof btf === 'string' && btf.length <= MOST_PATH)) return null;
  if (toa_kinds !== undefined && !(isList(toa_kinds, 256) && toa_kinds.every(isToa))) return null;
  return value as AttachOptions;
}

function isFilter(value: unknown): boolean {
  if (!isObject(value) || !isList(value.groups, MOST_TARGETS)) return false;
  const { groups, netns, ...more } = value;
  if (Object.keys(more).length > 0) return false;
  const targets = groups.every((group) => isList(group, MOST_TARGETS) && group.length > 0)
    ? groups.flat()
    : [null];
  return (
    (netns === null || isWithin(netns, 0, MOST_INODE)) &&
    targets.length <= MOST_TARGETS &&
    targets.every(isTarget)
  );
}

function isTarget(value: unknown): value is Target {
  if (!isObject(value)) return false;
  const { net, port } = value;
  return (net === null || isNet(net)) && (port === null || isWithin(port, 0, MOST_PORT));
}

function isNet(value: unknown): boolean {
  if (!isObject(value) || typeof value.address !== 'string' || !isWithin(value.bits, 0, 128))
    return false;
  try {
    return (
      parseAddress(value.address) !== null && parseNet(`${value.address}/${value.bits}`) !== null
    );
  } catch {
    return false;
  }
}

const isToa = (kind: unknown) => typeof kind === 'number' && mayBeToa(kind);

function isWithin(value: unknown, least: number, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
}

function isList(value: unknown, most: number): value is unknown[] {
  return Array.isArray(value) && value.length <= most;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
