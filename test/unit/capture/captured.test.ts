// SPDX-License-Identifier: Apache-2.0
//
// Captures of the lab's scenarios, three times each, as tcpdump -i any wrote them (tools/capture-scenarios.ts
// --keep), and those of a live Linux 4.9 with tcp_tw_recycle and without.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findingsIn } from './captures.ts';

const TEST = join(import.meta.dirname, '../..');

test.each<[string, Record<string, number>]>([
  ['synack-wrong-source-client.pcap', { 'synack-wrong-source': 3 }],
  ['request-reset-server.pcap', { 'request-reset': 3 }],
  ['crossed-reply-server.pcap', { 'crossed-reply': 3 }],
  ['data-after-close-server.pcap', { 'data-after-close': 3 }],
  ['self-connect-server.pcap', { 'self-connect': 3 }],
  ['connect-refused-server.pcap', { 'connect-refused': 3 }],
  ['icmp-unreachable-client.pcap', { 'icmp-unreachable': 3 }],
  ['syn-on-live-connection--leaked-server.pcap', { 'syn-on-live-connection': 3 }],
  ['timewait-paws-server.pcap', { 'timewait-paws': 3 }],
  // By its number alone a SYN is not said to be refused.
  ['timewait-paws--number-server.pcap', {}],
  // The end that refuses has said nothing yet, and may be half-open.
  ['paws-established-server.pcap', {}],
  ['proxy-upstream-failed-client.pcap', { 'reset-by-peer': 3 }],
  ['proxy-upstream-failed-server.pcap', { 'connect-refused': 3, 'proxy-upstream-failed': 3 }],
  // The connection was never open to the server.
  ['request-expired-server.pcap', {}],
  ['request-expired--deferred-server.pcap', {}],
  // Who had closed reads on; a rule of its host resets what conntrack has forgotten.
  ['conntrack-invalid--half-closed-server.pcap', {}],
  // A half-open connection was there, so the reset tells no refusal.
  ['pending-request-collision--in-window-server.pcap', {}],
  // A subflow.
  ['mptcp-reset-server.pcap', {}],
  ['../recordings/tw-recycle-4.9/short/pcap', { 'paws-passive': 5, 'request-reset': 2 }],
  ['../recordings/tw-recycle-4.9/long/pcap', { 'paws-passive': 6, 'request-reset': 4 }],
  // One that was refused again and again proves no rule, and neither do two.
  ['../recordings/tw-recycle-4.9/real-client/pcap', { 'syn-unanswered': 1 }],
  ['../recordings/tw-recycle-4.9/edges/pcap', { 'request-reset': 5 }],
  ['../recordings/tw-recycle-4.9/recycle-off/pcap', { 'request-reset': 8 }],
])('%s', (name, expected) => {
  const counts: Record<string, number> = {};
  for (const { cause, count } of findingsIn(readFileSync(join(TEST, 'captures', name))))
    counts[cause] = (counts[cause] ?? 0) + count;
  expect(counts).toEqual(expected);
});
