// SPDX-License-Identifier: Apache-2.0

/** Of IPv4 and of IPv6. */
const OF_BOTH = {
  'total packets received': 'InReceives',
  'with invalid headers': 'InHdrErrors',
  'with invalid addresses': 'InAddrErrors',
  'with unknown protocol': 'InUnknownProtos',
  'incoming packets discarded': 'InDiscards',
  'incoming packets delivered': 'InDelivers',
  'requests sent out': 'OutRequests',
  'outgoing packets dropped': 'OutDiscards',
  'dropped because of missing route': 'OutNoRoutes',
  'fragments dropped after timeout': 'ReasmTimeout',
  'reassemblies required': 'ReasmReqds',
  'packets reassembled ok': 'ReasmOKs',
  'packet reassemblies failed': 'ReasmFails',
  'outgoing packets fragmented ok': 'FragOKs',
  'outgoing packets failed fragmentation': 'FragFails',
  'fragments created': 'FragCreates',
};

/**
 * What `netstat -s` says in place of a counter's name, by the section that it stands in. N is the number,
 * which comes first where there is none. As net-tools 2.10 printed it of counters with known values, and, at the
 * end of a section, as versions up to 1.60 did. What is not in here it prints by its name.
 */
const WORDINGS: { readonly [group: string]: { readonly [wording: string]: string } } = {
  Ip: {
    ...OF_BOTH,
    forwarded: 'ForwDatagrams',
    'packet reassembles failed': 'ReasmFails',
    'fragments received ok': 'FragOKs',
    'fragments failed': 'FragFails',
  },
  Tcp: {
    'active connection openings': 'ActiveOpens',
    'passive connection openings': 'PassiveOpens',
    'failed connection attempts': 'AttemptFails',
    'connection resets received': 'EstabResets',
    'connections established': 'CurrEstab',
    'segments received': 'InSegs',
    'segments sent out': 'OutSegs',
    'segments retransmitted': 'RetransSegs',
    'bad segments received': 'InErrs',
    'resets sent': 'OutRsts',
    'active connections openings': 'ActiveOpens',
    'active opens': 'ActiveOpens',
    'passive opens': 'PassiveOpens',
    'segments send out': 'OutSegs',
    'segments retransmited': 'RetransSegs',
  },
  TcpExt: {
    'SYN cookies sent': 'SyncookiesSent',
    'SYN cookies received': 'SyncookiesRecv',
    'invalid SYN cookies received': 'SyncookiesFailed',
    'resets received for embryonic SYN_RECV sockets': 'EmbryonicRsts',
    'packets pruned from receive queue because of socket buffer overrun': 'PruneCalled',
    'packets pruned from receive queue': 'RcvPruned',
    'packets dropped from out-of-order queue because of socket buffer overrun': 'OfoPruned',
    'ICMP packets dropped because they were out-of-window': 'OutOfWindowIcmps',
    'ICMP packets dropped because socket was locked': 'LockDroppedIcmps',
    'TCP sockets finished time wait in fast timer': 'TW',
    'time wait sockets recycled by time stamp': 'TWRecycled',
    'TCP sockets finished time wait in slow timer': 'TWKilled',
    'passive connections rejected because of time stamp': 'PAWSPassive',
    'active connections rejected because of time stamp': 'PAWSActive',
    'packets rejected in established connections because of timestamp': 'PAWSEstab',
    'delayed acks sent': 'DelayedACKs',
    'delayed acks further delayed because of locked socket': 'DelayedACKLocked',
    'Quick ack mode was activated N times': 'DelayedACKLost',
    'times the listen queue of a socket overflowed': 'ListenOverflows',
    'SYNs to LISTEN sockets dropped': 'ListenDrops',
    'packets directly queued to recvmsg prequeue': 'TCPPrequeued',
    'bytes directly in process context from backlog': 'TCPDirectCopyFromBacklog',
    'bytes directly received in process context from prequeue': 'TCPDirectCopyFromPrequeue',
    'packets dropped from prequeue': 'TCPPrequeueDropped',
    'packet headers predicted': 'TCPHPHits',
    'packet headers predicted and directly queued to user': 'TCPHPHitsToUser',
    'acknowledgments not containing data payload received': 'TCPPureAcks',
    'predicted acknowledgments': 'TCPHPAcks',
    'times recovered from packet loss due to fast retransmit': 'TCPRenoRecovery',
    'times recovered from packet loss by selective acknowledgements': 'TCPSackRecovery',
    'Detected reordering N times using FACK': 'TCPFACKReorder',
    'Detected reordering N times using SACK': 'TCPSACKReorder',
    'Detected reordering N times using reno fast retransmit': 'TCPRenoReorder',
    'Detected reordering N times using time stamp': 'TCPTSReorder',
    'congestion windows fully recovered without slow start': 'TCPFullUndo',
    'congestion windows partially recovered using Hoe heuristic': 'TCPPartialUndo',
    'congestion windows recovered without slow start after partial ack': 'TCPLossUndo',
    'timeouts after reno fast retransmit': 'TCPRenoFailures',
    'timeouts in loss state': 'TCPLossFailures',
    'fast retransmits': 'TCPFastRetrans',
    'forward retransmits': 'TCPForwardRetrans',
    'retransmits in slow start': 'TCPSlowStartRetrans',
    'other TCP timeouts': 'TCPTimeouts',
    'packets collapsed in receive queue due to low socket buffer': 'TCPRcvCollapsed',
    'DSACKs sent for old packets': 'TCPDSACKOldSent',
    'DSACKs sent for out of order packets': 'TCPDSACKOfoSent',
    'DSACKs received': 'TCPDSACKRecv',
    'DSACKs for out of order packets received': 'TCPDSACKOfoRecv',
    'connections reset due to unexpected SYN': 'TCPAbortOnSyn',
    'connections reset due to unexpected data': 'TCPAbortOnData',
    'connections reset due to early user close': 'TCPAbortOnClose',
    'connections aborted due to memory pressure': 'TCPAbortOnMemory',
    'connections aborted due to timeout': 'TCPAbortOnTimeout',
    'connections aborted after user close in linger timeout': 'TCPAbortOnLinger',
    'times unable to send RST due to no memory': 'TCPAbortFailed',
    'TCP ran low on memory N times': 'TCPMemoryPressures',
    'times receiver scheduled too late for direct processing': 'TCPSchedulerFailed',
    'SYNs to LISTEN sockets ignored': 'ListenDrops',
    'packets rejects in established connections because of timestamp': 'PAWSEstab',
  },
  Ip6: {
    ...OF_BOTH,
    'with packets too big': 'InTooBigErrors',
    'incoming packets with no route': 'InNoRoutes',
    'with truncated packets': 'InTruncatedPkts',
    forwarded: 'OutForwDatagrams',
  },
};

/** Sections that no cause is told by: a line of theirs is no stranger. */
const OTHERS = /^(Icmp|IcmpMsg|Icmp6|Udp|Udp6|UdpLite|UdpLite6|Sctp)$/;

/** The counter that a line of a section is of; null: of none that is known; undefined: of one that no cause reads. */
export function counterOf(group: string | null, wording: string): string | null | undefined {
  const text = wording.replace(/\.$/, '');
  if (group !== null) {
    const name = WORDINGS[group]?.[text];
    if (name !== undefined) return `${group}.${name}`;
    return OTHERS.test(group) ? undefined : null;
  }
  // A line that somebody kept of it: what TCP says of itself no other section says.
  for (const section of ['TcpExt', 'Tcp']) {
    const name = WORDINGS[section]?.[text];
    if (name !== undefined) return `${section}.${name}`;
  }
  return null;
}
