// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { endedByLimit, limitOf, orphansSeen } from '../shared/out-of-memory.ts';

export default defineCause({
  id: 'orphan-limit',
  title: 'too many orphaned connections',
  severity: 'error',
  explains:
    'A process closed a connection that still had something to send, and this host has as many of those as it may: it was reset, and the rest is lost.',
  seenAs: ['reset'],
  needs: ['reset_sent'],
  on: ['reset_sent'],
  supersedes: ['reset-by-peer', 'connection-unknown'],
  match(event, known) {
    if (event.kind !== 'reset_sent' || limitOf(event.body, known) !== 'orphans') return null;
    const ended = endedByLimit(event, known);
    const seen = orphansSeen(known);
    return (
      ended && {
        ...ended,
        evidence: {
          ...ended.evidence,
          orphans: seen?.orphans ?? null,
          tcp_max_orphans: seen?.tcp_max_orphans ?? null,
        },
      }
    );
  },
  summary({ local: at, peer, unacked_bytes, orphans, tcp_max_orphans }) {
    const how = orphans === null ? '' : ` (${orphans} where ${tcp_max_orphans} may be)`;
    return `${at} was closed with ${unacked_bytes} bytes not yet taken by ${peer}, and reset: too many orphaned connections on this host${how}`;
  },
  advice({ peer, unacked_bytes, tcp_max_orphans }) {
    return [
      `how many there are: \`grep orphan /proc/net/sockstat\` (orphan), and how many may be${tcp_max_orphans === null ? '' : ` (${tcp_max_orphans})`}: \`sysctl net.ipv4.tcp_max_orphans\` Each may hold 64 KiB that no process accounts for`,
      "the kernel says so too: `journalctl -k --grep 'too many orphaned sockets'`",
      `which connections they are: \`ss -tanpo state fin-wait-1\` Peers that do not read, or are gone, keep them for long: \`sysctl net.ipv4.tcp_orphan_retries\``,
      `${peer} did not get the last ${unacked_bytes} bytes: who closes only after the peer has confirmed them loses none`,
    ];
  },
});
