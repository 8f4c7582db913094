// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from './flags.ts';

interface Ends {
  daddr: string;
  dport: number;
  service: number;
}

/** Of a packet: what it is of its entry, and that one's status. */
interface Entry {
  info: number;
  status: number;
}

/** What a packet is of its entry: enum ip_conntrack_info, and what BPF adds to it. */
export const TRACKED = { NEW: 2, REPLY: 3, UNTRACKED: 7, NO_ENTRY: 8 } as const;

/** Of an entry's status: it is in the table; its source, its destination is translated. */
export const ENTRY = {
  CONFIRMED: 1 << 3,
  SRC_NAT: 1 << 4,
  DST_NAT: 1 << 5,
  /** The rules that translate destinations were asked: there are such. */
  DST_NAT_DONE: 1 << 8,
} as const;

/** The function of nf_tables that frees what its rules and policies drop, since Linux 6.8. */
export const NFT_FREES = 'nft_do_chain';

/** In the middle of a connection, of which connection tracking has no entry: it begins one, and is NEW to rules. */
export function isTakenUp(flags: number, conntrack: Entry | null) {
  return (
    conntrack !== null &&
    conntrack.info === TRACKED.NEW &&
    (conntrack.status & ENTRY.CONFIRMED) === 0 &&
    (flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.ack
  );
}

/** The packet's connection as its sender began it, where this host sent it elsewhere since; else null. */
export function beforeRedirect<F extends Ends>(
  packet: { flow: F },
  conntrack: (Entry & { sent: F | null }) | null,
): F | null {
  const sent = conntrack?.sent;
  if (!sent || conntrack.info >= TRACKED.REPLY || !(conntrack.status & ENTRY.DST_NAT)) return null;
  const { daddr, dport, service } = packet.flow;
  if (sent.daddr === daddr && sent.dport === dport) return null;
  return { ...sent, service };
}
