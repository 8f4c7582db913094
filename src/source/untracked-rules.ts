// SPDX-License-Identifier: Apache-2.0

import { untracking } from '../host/nftables/droppers.ts';
import type { Device, Hook, Rules, Segment } from '../host/nftables/match.ts';
import type { DeviceName } from '../host/nftables/values.ts';
import { TRACKED } from '../tcp/conntrack.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import type { DropRules } from '../wire/types.gen.ts';
import { MAX_RULES, toldOf } from './rules-told.ts';

export type Untracked = Pick<DropRules, 'untracked' | 'untracked_surely'>;

export const TRACKED_ALL: Untracked = { untracked: [], untracked_surely: 0 };

/** Rules that leave alone what is not tracked, or what began the connection of a segment that is INVALID, or answered it. */
export function untrackedOf(rules: Rules, segment: Segment, device: DeviceName): Untracked {
  const info = segment.conntrack?.info;
  if (info !== TRACKED.NO_ENTRY && info !== TRACKED.UNTRACKED) return TRACKED_ALL;
  const left_alone =
    info === TRACKED.UNTRACKED ? [beforeTracking(segment)] : segmentsBefore(segment);
  const found = left_alone.flatMap((one) => untracking(rules, one));
  const sure = found.filter((one) => one.sure);
  const byRule = new Map((sure.length > 0 ? sure : found).map((one) => [one.rule, one]));
  return {
    untracked: [...byRule.values()]
      .slice(0, MAX_RULES)
      .map((one) => toldOf({ ...one, rules }, device)),
    untracked_surely: Number(sure.length > 0),
  };
}

/** As rules see it before connection tracking does. */
function beforeTracking(segment: Segment): Segment {
  const isOwn = segment.hooks.includes('output');
  return {
    ...{ ...segment, conntrack: null, leaves_by: null },
    ...(isOwn && { arrived_on: NO_DEVICE }),
    hooks: [isOwn ? 'output' : 'prerouting'],
  };
}

/** What the rest of its handshake looked like there. */
function segmentsBefore(segment: Segment): Segment[] {
  const { saddr, daddr, sport, dport, hooks } = segment;
  const isForHere = hooks.includes('input');
  const unknown = { seq: null, ack_seq: null, window: null, ttl: null, payload: null };
  const same: Segment = { ...beforeTracking(segment), ...unknown };
  const back = (hook: Hook): Segment => ({
    ...same,
    ...{ saddr: daddr, daddr: saddr, sport: dport, dport: sport },
    ...{ arrived_on: hook === 'output' ? NO_DEVICE : null, hooks: [hook] },
  });
  const answers: Segment[] = [
    ...(isForHere ? [back('output')] : []),
    ...(isForHere && hooks.length === 1 ? [] : [back('prerouting')]),
  ];
  const { syn, ack } = TCP_FLAG;
  return [
    { ...same, flags: syn },
    { ...same, flags: syn | ack },
    ...answers.flatMap((one) => [
      { ...one, flags: syn },
      { ...one, flags: syn | ack },
    ]),
  ];
}

const NO_DEVICE: Device = { ifindex: 0, name: '' };
