// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import type { Packet } from '../../wire/types.gen.ts';

/** What is said of a segment that was dropped: whose it was, and where it was then. */
export function segmentOf({
  flow: { saddr, sport, daddr, dport },
  flags,
  device,
  ifindex,
}: Packet) {
  return {
    from: endpoint(saddr, sport),
    to: endpoint(daddr, dport),
    flags: flagsText(flags),
    interface: device || null,
    arrived: ifindex > 0,
  };
}
