// SPDX-License-Identifier: Apache-2.0

import type { Names } from '../../known/knowledge.ts';
import { familyOf } from '../../tcp/address.ts';
import type { Drop, MacChange } from '../../wire/types.gen.ts';
import { seconds } from './wording.ts';

/** `02:00:00:00:00:11` of the 12 digits in which events have it; null where they are none. */
export function macText(digits: string): string | null {
  if (!/^[0-9a-f]{12}$/.test(digits)) return null;
  return digits.replace(/..(?=.)/g, '$&:');
}

/** What is kept of it as evidence. */
export type Moved = {
  address: string;
  mac: string;
  mac_was: string;
  ago_ms: number;
};

/** The next hop has another MAC since the peer was heard of last, `silent_ms` ago; null: as far as is known not. */
export function movedSince(change: MacChange | null, silent_ms: number): Moved | null {
  if (!change || change.ago_ms > silent_ms) return null;
  const mac = macText(change.mac);
  const mac_was = macText(change.mac_was);
  return mac && mac_was ? { address: change.addr, mac, mac_was, ago_ms: change.ago_ms } : null;
}

/** `10.1.0.1 is at MAC 02:00:00:00:00:12 since 3 s, and was at 02:00:00:00:00:11`. */
export function movedText({ address, mac, mac_was, ago_ms }: Moved, daddr: string): string {
  const who = address === daddr ? address : `its gateway ${address}`;
  return `${who} has been at MAC ${mac} for ${seconds(ago_ms)}, and was at ${mac_was} before`;
}

export function movedAdvice({ address, mac, mac_was }: Moved, daddr: string): string[] {
  const asks = familyOf(address) === 6 ? 'tcpdump -eni DEV icmp6' : `arping -c 3 -I DEV ${address}`;
  return [
    address === daddr
      ? `whose are ${mac_was} and ${mac}? Two hosts that have ${address} (a cloned machine, an address given out twice), or it moved from one to the other (failover), which does not know the connections of the first. Both answer while there are two: \`${asks}\` and \`ip neigh show ${address}\``
      : `another router answers for ${address} now (VRRP, failover): if it translates addresses or filters, it does not know the connections of the first: \`ip neigh show ${address}\` and on both: \`conntrack -S\``,
  ];
}

/** Dropped because its frame was for another MAC than that of the device that it came in by. */
export function isForAnotherMac({ reason, frame }: Drop, known: Names): boolean {
  return frame !== null && (!known.hasDropReasons() || known.dropReason(reason) === 'OTHERHOST');
}
