// SPDX-License-Identifier: Apache-2.0

import type { Severity } from '../causes/define.ts';

/** What a counter proves by itself, wherever it moves. */
export interface Counted {
  counter: string;
  cause: string;
  /** What happened each time, as a sentence goes on behind "7 times ". */
  says: string;
  /** What it does not tell. */
  not: string;
  /** What tells that, or ends it: advice. */
  decides: string;
  /** Where it may be of no TCP at all. */
  severity?: Severity;
}

/** A counter of failures that may be of several causes, beyond what its parts tell. */
export interface Unnamed {
  counter: string;
  /** Of what it counts, behind a number. */
  what: string;
  /** Counters that it contains, each of one cause. */
  parts: readonly string[];
  may_be: readonly string[];
  decides: readonly string[];
}

const watch = 'on that host, while it happens, each is named by `tcpwhy trace`';

/** Those of which every kernel that has them counts one thing. */
export const COUNTED: readonly Counted[] = [
  {
    counter: 'TcpExt.ListenOverflows',
    cause: 'accept-queue-full',
    says: 'a SYN or a third ACK met a full accept queue',
    not: 'which listener, whose SYN, and whether it was a SYN or a third ACK',
    decides:
      'the listener whose Recv-Q is above its Send-Q does not accept() fast enough: `ss -ltn`',
  },
  {
    counter: 'TcpExt.PAWSPassive',
    cause: 'paws-passive',
    says: 'tcp_tw_recycle refused a SYN by its timestamp',
    not: 'which source address, and which port',
    decides: 'end it: `sysctl -w net.ipv4.tcp_tw_recycle=0`',
  },
  {
    counter: 'TcpExt.TCPReqQFullDrop',
    cause: 'syn-queue-full',
    says: 'a SYN met a listener with as many half-open connections as it may have, and SYN cookies are off',
    not: 'which listener, and whether it is a flood',
    decides:
      'whose are they? `ss -tn state syn-recv` and turn cookies on: `sysctl -w net.ipv4.tcp_syncookies=1`',
  },
  {
    counter: 'TcpExt.TCPReqQFullDoCookies',
    cause: 'syn-cookies',
    says: 'a SYN was answered with a SYN cookie',
    not: 'which listener; with tcp_syncookies=2 it counts every SYN',
    decides: '`sysctl net.ipv4.tcp_syncookies` and `ss -ltn`',
  },
  {
    counter: 'TcpExt.SyncookiesFailed',
    cause: 'syn-cookie-rejected',
    says: 'a segment for a listener that sends SYN cookies acknowledged none of them',
    not: 'which listener, and whose segment',
    decides:
      'more than a few a minute come of a flood, or of a box that changes sequence numbers: `nstat -az TcpExtSyncookiesSent TcpExtSyncookiesRecv TcpExtSyncookiesFailed`',
  },
  {
    counter: 'TcpExt.TSEcrRejected',
    cause: 'tsecr-rejected',
    says: 'a segment echoed a timestamp that was never sent',
    not: 'which connection',
    decides:
      'something on the way rewrites timestamps: capture at both ends and compare: `tcpdump -nvi any tcp`',
  },
  {
    counter: 'TcpExt.PAWSActive',
    cause: 'synack-unacceptable',
    says: 'the answer to a connect of this host echoed a timestamp that it had not sent',
    not: 'which connect',
    decides:
      'capture the answers: `tcpdump -nvi any "tcp[tcpflags] & (tcp-syn|tcp-ack) == (tcp-syn|tcp-ack)"`',
  },
  ...['NotFound', 'Unexpected', 'Failure'].map((name) => ({
    counter: `TcpExt.TCPMD5${name}`,
    cause: 'md5-mismatch',
    says: {
      NotFound: 'a segment had no TCP-MD5 signature where this host asks for one',
      Unexpected: 'a segment had a TCP-MD5 signature that this host does not ask for',
      Failure: 'a segment had a wrong TCP-MD5 signature',
    }[name] as string,
    not: 'which peer',
    decides: 'the kernel’s log names the peers: `journalctl -k --grep MD5`',
  })),
  ...['Required', 'Bad', 'KeyNotFound'].map((name) => ({
    counter: `TcpExt.TCPAO${name}`,
    cause: 'ao-mismatch',
    says: {
      Required: 'a segment had no TCP-AO option where this host asks for one',
      Bad: 'a segment had a wrong TCP-AO signature',
      KeyNotFound: 'a segment had a TCP-AO option with a key that this host does not have',
    }[name] as string,
    not: 'which peer',
    decides: 'the kernel’s log names the peers: `journalctl -k --grep AO`',
  })),
  {
    counter: 'TcpExt.TCPBacklogDrop',
    cause: 'socket-backlog-full',
    says: 'a segment came for a socket that a process held, and was one too many to wait',
    not: 'which socket; it is no listen backlog',
    decides: 'sockets with drops, the d of skmem: `ss -tmn`',
  },
  {
    counter: 'TcpExt.TCPMinTTLDrop',
    cause: 'min-ttl',
    says: 'a segment had a TTL lower than its socket accepts',
    not: 'which peer',
    decides:
      'sockets with IP_MINTTL are of BGP mostly; their peers’ TTL: `tcpdump -nvi any tcp port 179`',
  },
  {
    counter: 'TcpExt.IPReversePathFilter',
    cause: 'rp-filter',
    says: 'a packet came in by an interface through which its sender would not be answered',
    not: 'whose, by which interface, and whether it was of TCP',
    decides: 'log them: `sysctl -w net.ipv4.conf.all.log_martians=1` and `dmesg -w | grep martian`',
    severity: 'warning',
  },
  {
    counter: 'TcpExt.TCPTimeWaitOverflow',
    cause: 'timewait-overflow',
    says: 'a closed connection was forgotten at once, as the TIME_WAIT table was full',
    not: 'which connection',
    decides: '`ss -s` and `sysctl net.ipv4.tcp_max_tw_buckets`',
  },
  {
    counter: 'TcpExt.TCPAbortOnClose',
    cause: 'unread-data-on-close',
    says: 'a process closed a connection with data that it had not read, which resets it',
    not: 'which process, and which connection',
    decides: watch,
  },
  {
    counter: 'TcpExt.TCPAbortOnLinger',
    cause: 'fin-wait2-expired',
    says: 'a process that forbids to wait in FIN_WAIT2 (TCP_LINGER2 below 0) closed a connection, which resets it',
    not: 'which process, and which connection',
    decides: watch,
  },
  {
    counter: 'TcpExt.PFMemallocDrop',
    cause: 'kernel-out-of-memory',
    says: 'a packet came in memory that is kept for other sockets, as there was no other',
    not: 'whose',
    decides: '`grep -E "MemFree|MemAvailable" /proc/meminfo` and `sysctl vm.min_free_kbytes`',
  },
  {
    counter: 'TcpExt.TCPFastOpenListenOverflow',
    cause: 'fastopen-rejected',
    says: 'a SYN with Fast Open met a full Fast Open queue',
    not: 'which listener',
    decides: 'the queue’s length is what the process gave to TCP_FASTOPEN: `ss -ltn`',
  },
  {
    counter: 'TcpExt.TCPFastOpenPassiveFail',
    cause: 'fastopen-rejected',
    says: 'a SYN came with a Fast Open cookie that this host did not take',
    not: 'which client',
    decides: 'do the hosts of one address have the same key? `sysctl net.ipv4.tcp_fastopen_key`',
  },
  {
    counter: 'Tcp.InCsumErrors',
    cause: 'bad-checksum',
    says: 'a segment arrived with a TCP checksum that does not fit its bytes',
    not: 'whose, and by which device',
    decides: '`ip -s -s link` and, as the device may be wrong, `ethtool -k DEV | grep checksum`',
  },
];

/** Failures that have a counter in common, so that it names none. */
export const UNNAMED: readonly Unnamed[] = [
  {
    counter: 'TcpExt.ListenDrops',
    what: 'SYNs and third ACKs that a listener refused',
    parts: ['TcpExt.ListenOverflows', 'TcpExt.PAWSPassive', 'TcpExt.TCPReqQFullDrop'],
    may_be: ['syn-dropped-one-of', 'no-route-back', 'syn-unproven-peer'],
    decides: [
      'a route back that is missing moves these: `nstat -az IpOutNoRoutes Ip6OutNoRoutes`',
      'a security module says so in the kernel’s log: `journalctl -k --grep "avc.*denied|smack"`',
      'without SYN cookies the last quarter of tcp_max_syn_backlog is kept for peers that are known: `sysctl net.ipv4.tcp_syncookies net.ipv4.tcp_max_syn_backlog` and `ss -tn state syn-recv`',
      watch,
    ],
  },
  {
    counter: 'TcpExt.TCPAbortOnMemory',
    what: 'connections that the kernel reset for want of memory',
    parts: [],
    may_be: ['orphan-limit', 'tcp-memory'],
    decides: [
      'too many orphans, or all memory of TCP in use: the kernel’s log says which: `journalctl -k --grep "TCP: (too many orphaned|out of memory)"`',
      'orphan and mem against their limits: `cat /proc/net/sockstat` and `sysctl net.ipv4.tcp_max_orphans net.ipv4.tcp_mem`',
    ],
  },
  {
    counter: 'TcpExt.TCPAbortOnData',
    what: 'connections that this host reset',
    parts: [],
    may_be: ['linger-zero-close', 'data-after-close', 'fin-wait2-expired'],
    decides: [
      'a process closed with SO_LINGER 0, or data came for one that it had closed. A capture tells: data before the reset is the second. `tcpdump -ni any "tcp[tcpflags] & tcp-rst != 0"`',
      watch,
    ],
  },
  {
    counter: 'TcpExt.TCPAbortOnTimeout',
    what: 'connections and connects that ended with ETIMEDOUT or the like',
    parts: [],
    may_be: [
      ...['connect-timeout', 'retransmit-timeout', 'keepalive-timeout', 'user-timeout'],
      'peer-window-shut',
    ],
    decides: [
      'connects alone move SYNs that were sent again just before: `nstat -az TcpExtTCPSynRetrans`; whom they wait for: `ss -tno state syn-sent` and `ss -tno state established`',
      watch,
    ],
  },
];

/** What moved and is no failure by itself, or one of another end. */
export const SYMPTOMS: { readonly [counter: string]: string } = {
  'TcpExt.EmbryonicRsts': 'half-open connections that ended by a reset; not whose',
  'Tcp.AttemptFails': 'connects, and half-open connections, that failed; not why',
  'Tcp.EstabResets': 'open connections that a reset ended; not whose reset',
  'Tcp.OutRsts': 'resets sent; not why',
  'Tcp.RetransSegs': 'segments sent again; not of whom',
  'TcpExt.TCPSynRetrans': 'SYNs and SYN-ACKs sent again; not to whom',
  'TcpExt.TCPTimeouts': 'timers of retransmission that ran out',
  'TcpExt.PAWSEstab':
    'segments with an older timestamp: ordinary duplicates, paws-established, or before Linux 6.18 timewait-paws',
  'TcpExt.PAWSTimewait':
    'segments with an older timestamp than a connection in TIME_WAIT had: SYNs (timewait-paws), or late duplicates',
  'TcpExt.TCPSYNChallenge':
    'SYNs for an open connection: late duplicates, or syn-on-live-connection',
  'TcpExt.TCPChallengeACK': 'segments out of place that were answered with an ACK',
  'TcpExt.BeyondWindow': 'segments beyond the window',
  'TcpExt.TCPMemoryPressures': 'TCP came to the middle value of tcp_mem; nothing is refused yet',
  'TcpExt.TCPRcvQDrop': 'segments for which a socket had no room (receive-buffer-full, tcp-memory)',
  'TcpExt.TCPZeroWindowDrop': 'segments that came into a shut window; they are sent again',
  'TcpExt.TCPOFODrop': 'segments out of order for which a socket had no room',
  'TcpExt.PruneCalled': 'times that a socket looked for room',
  'TcpExt.RcvPruned': 'segments thrown away for want of room; they are sent again',
  'TcpExt.TCPDeferAcceptDrop': 'third ACKs that TCP_DEFER_ACCEPT lets wait: each is ordinary',
  'TcpExt.TCPRetransFail': 'segments that could not be sent again',
  'TcpExt.TCPWinProbe': 'probes of a peer’s shut window',
  'TcpExt.TCPMigrateReqFailure': 'half-open connections that no other listener took over',
  'TcpExt.SyncookiesSent': 'SYN cookies sent',
  'Ip.OutNoRoutes': 'packets without a route, of any protocol',
  'Ip6.OutNoRoutes': 'packets without a route, of any protocol',
  'IpExt.InNoRoutes': 'packets that came in and had no route, of any protocol',
  'Ip6.InNoRoutes': 'packets that came in and had no route, of any protocol',
  'Ip.InAddrErrors': 'packets with an address that is not for this host, of any protocol',
  'Ip.ReasmTimeout': 'packets of which fragments were missing, of any protocol',
  'Ip6.ReasmTimeout': 'packets of which fragments were missing, of any protocol',
  'Ip.InDiscards': 'packets thrown away, of any protocol',
  'Icmp.InDestUnreachs': 'ICMP errors received; not for what',
  'Icmp6.InDestUnreachs': 'ICMP errors received; not for what',
};
