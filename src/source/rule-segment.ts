// SPDX-License-Identifier: Apache-2.0

import type { Device, Hook, Segment } from '../host/nftables/match.ts';
import type { DeviceName } from '../host/nftables/values.ts';
import { addressBytes, IPV4_AT } from '../tcp/address.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import { LOOPBACK_IFINDEX } from '../tcp/loopback.ts';
import type { Drop } from '../wire/types.gen.ts';

const LEAVING: ReadonlySet<Hook> = new Set(['forward', 'output', 'postrouting']);
/** What rules see of a dropped packet, and where they may have met it. */
export function segmentOf(drop: Drop, family: 4 | 6, deviceName: DeviceName): Segment {
  const { packet, leaves_ifindex, route_ifindex, conntrack } = drop;
  const { flow, flags, seq, ack_seq, window, ttl, ifindex } = packet;
  const bytes = (text: string) => addressBytes(text).subarray(family === 4 ? IPV4_AT : 0);
  const hooks = hooksOf(drop);
  const device = (ifindex: number): Device => {
    return { ifindex, name: ifindex === 0 ? '' : deviceName(ifindex) };
  };
  const left = isRejectedSent(drop) ? 0 : leaves_ifindex;
  const leaves = left || (hooks.some((hook) => LEAVING.has(hook)) ? route_ifindex : 0);
  return {
    ...{ family, flags, seq, ack_seq, window, ttl, hooks },
    payload: payloadOf(packet),
    saddr: bytes(flow.saddr),
    daddr: bytes(flow.daddr),
    sport: flow.sport,
    dport: flow.dport,
    // The kernel does not always tell a rule there where the packet came in.
    arrived_on: hooks.includes('postrouting') && ifindex > 0 ? null : device(ifindex),
    leaves_by:
      isBridged(drop) || (leaves === 0 && hooks.some((hook) => LEAVING.has(hook)))
        ? null
        : device(leaves),
    conntrack: conntrack && { info: conntrack.info, status: conntrack.status },
  };
}

/** Of more than 64 KiB at once the headers tell no length: then none is known of a segment without others. */
function payloadOf({ payload_len, flags }: Drop['packet']): number | null {
  return payload_len > 0 || flags & ALONE ? payload_len : null;
}

const ALONE = TCP_FLAG.syn | TCP_FLAG.fin | TCP_FLAG.rst;

/** A rule that rejects gives what this host sends, and has no device yet, that of loopback (IPv6). */
const isRejectedSent = ({ packet, leaves_ifindex, rejected }: Drop) =>
  rejected > 0 && packet.ifindex === 0 && leaves_ifindex === LOOPBACK_IFINDEX;

/**
 * What a bridge passes on meets rules of IP too (br_netfilter): as it comes in, without a route yet, then with
 * one of the bridge. To these it comes in and leaves by the bridge, not by its ports.
 */
const isBridged = ({ packet, leaves_ifindex, route_ifindex }: Drop) =>
  packet.ifindex > 0 && leaves_ifindex > 0 && route_ifindex !== leaves_ifindex;

/** Where a packet was, by where it came in, where it should leave, and where its route leads. */
function hooksOf(drop: Drop): Hook[] {
  const { packet, leaves_ifindex, route_ifindex, rejected } = drop;
  const { ifindex } = packet;
  if (isRejectedSent(drop)) return ['output', 'postrouting'];
  if (isBridged(drop))
    return route_ifindex === 0
      ? ['prerouting', 'forward', 'postrouting']
      : ['forward', 'postrouting'];
  if (leaves_ifindex > 0) return ['postrouting'];
  if (ifindex === 0) return ['output'];
  // What a host sends to itself has its route from the beginning.
  if (ifindex === LOOPBACK_IFINDEX) return ['prerouting', 'input'];
  if (route_ifindex === 0) return ['prerouting'];
  if (route_ifindex === LOOPBACK_IFINDEX) return ['input'];
  // A device that stands for others (VRF) has the routes to this host too.
  const routed: Hook[] = route_ifindex === ifindex ? ['forward', 'input'] : ['forward'];
  // A rule that rejects before there is a route gives it that of the answer.
  return rejected > 0 ? ['prerouting', ...routed] : routed;
}
