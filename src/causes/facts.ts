// SPDX-License-Identifier: Apache-2.0

/** What tcpwhy can know of a connection, each from one or more hooks. A cause says which it needs. */
export const FACTS = {
  syn_fate: 'what became of a SYN, by the counters that moved',
  reset_sent: 'resets that this host sent, and why',
  reset_received: 'resets that a socket believed',
  drop: 'TCP segments dropped, with the kernel’s reason',
  tracked: 'what connection tracking has of a packet that was dropped or reset',
  rejected: 'how netfilter answered a packet that it dropped',
  refused: 'what a connection expected of a segment that it dropped',
  timewait: 'what a connection in TIME_WAIT was sent',
  dialled: 'which answer each connecting socket waits for',
  icmp: 'ICMP errors for connections',
  neighbour: 'next hops that do not answer ARP or neighbour discovery',
  state: 'connects and connections that failed; listeners that come and go',
  retransmit: 'segments sent again',
  stalled: 'senders that get no further, by TCP’s timers',
  peer_name: 'the peer that accept() and getpeername() told the process',
  symbols: 'which functions of the kernel did it, by their addresses',
  process: 'what keeps a process from its work, by its number',
  denied: 'connects and binds that failed before there was any packet',
  owner: 'which process a socket belongs to',
} as const;

export type Fact = keyof typeof FACTS;
