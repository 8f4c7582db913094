// SPDX-License-Identifier: Apache-2.0

/** A line of the kernel's log that says why TCP failed. */
export interface Logged {
  line: RegExp;
  /** Null: it may be any of `may_be`. */
  cause: string | null;
  may_be?: readonly string[];
  says: string;
  not: string;
  decides: string;
  /** It is said once of each listener, however often it happens. */
  once?: true;
}

/** The local port is the group of that name, where the line has it. */
export const LOGGED: readonly Logged[] = [
  {
    line: /^(?:nf_conntrack: )*(?:nf|ip)_conntrack: table full(?: in netns \d+)?, dropping packet/,
    cause: 'conntrack-full',
    says: 'a packet that began a connection was dropped, as the table of connection tracking was full',
    not: 'whose it was, and whether it was of TCP',
    decides:
      'its size, and who fills it: `sysctl net.netfilter.nf_conntrack_max net.netfilter.nf_conntrack_count` and `conntrack -L | grep -oE "src=[^ ]+" | sort | uniq -c | sort -rn | head`',
  },
  {
    line: /^TCP: too many orphaned sockets/,
    cause: 'orphan-limit',
    says: 'a closed connection was reset, as too many wait to be closed',
    not: 'which connection',
    decides:
      '`cat /proc/net/sockstat` has the orphans, and their limit is `sysctl net.ipv4.tcp_max_orphans`',
  },
  {
    line: /^TCP: out of memory -- consider tuning tcp_mem/,
    cause: 'tcp-memory',
    says: 'a connection was reset, as TCP had all the memory that it may have',
    not: 'which connection, and who holds the memory',
    decides:
      '`cat /proc/net/sockstat` has mem in pages, and its limits are `sysctl net.ipv4.tcp_mem`',
  },
  {
    line: /^(?:neighbour: \w+: neighbor table overflow!|Neighbour table overflow\.)/,
    cause: 'neighbour-table-full',
    says: 'a next hop found no room in the neighbour table',
    not: 'for which address, and whether TCP waited for it',
    decides:
      '`ip neigh show | wc -l` and `sysctl net.ipv4.neigh.default.gc_thresh3 net.ipv6.neigh.default.gc_thresh3`',
  },
  {
    line: /^TCP: (?:Unexpected )?MD5 [Hh]ash (?:failed|mismatch|not found|found|unexpected)(?:.*?->(?:\([^,()]*, |\[[^\]]*\]:|(?:\d+\.){4})(?<port>\d+))?/,
    cause: 'md5-mismatch',
    says: 'a segment was dropped because of its TCP-MD5 signature',
    not: 'which of the two has the wrong password',
    decides: 'the passwords of both ends have to be the same, or there has to be none',
  },
  {
    line: /^TCP: [\w ,]*\bAO (?:hash|key)\b/,
    cause: 'ao-mismatch',
    says: 'a segment was dropped because of its TCP-AO option',
    not: 'which of the two has the wrong key',
    decides: 'the keys of both ends have to be the same',
  },
  {
    line: /^(?:TCP: )*(?:request_sock_\w+: )?[Pp]ossible SYN flooding on port (?:\S*:)?(?<port>\d+)\. Sending cookies/,
    cause: 'syn-cookies',
    says: 'a listener began to answer with SYN cookies',
    not: 'how often, as it is said once of each listener, and whether it is a flood',
    decides: '`nstat -az TcpExtTCPReqQFullDoCookies TcpExtListenOverflows` and `ss -ltn`',
    once: true,
  },
  {
    line: /^(?:TCP: )*(?:request_sock_\w+: )?[Pp]ossible SYN flooding on port (?:\S*:)?(?<port>\d+)\. Dropping request/,
    cause: 'syn-queue-full',
    says: 'a listener began to drop SYNs, as it had as many half-open connections as it may have, and SYN cookies are off',
    not: 'how often, as it is said once of each listener, and whether it is a flood',
    decides: '`nstat -az TcpExtTCPReqQFullDrop` and `sysctl -w net.ipv4.tcp_syncookies=1`',
    once: true,
  },
  {
    line: /^TCP: time wait bucket table overflow/,
    cause: 'timewait-overflow',
    says: 'a closed connection was forgotten at once, as the TIME_WAIT table was full',
    not: 'which connection',
    decides: '`ss -s` and `sysctl net.ipv4.tcp_max_tw_buckets`',
  },
  {
    line: /^TCP: drop open request from [\da-f.:]+\/\d+/,
    cause: 'syn-unproven-peer',
    says: 'a SYN of a peer that nothing is known of was dropped, as few half-open connections were left',
    not: 'for which port',
    decides: '`sysctl net.ipv4.tcp_max_syn_backlog net.ipv4.tcp_syncookies`',
  },
  {
    line: /^(?:IPv4: )?martian source [\d.]+ from (?:127|0)\.[\d.]+, (?:on )?dev /,
    cause: 'martian-source',
    says: 'a packet with a source address that cannot come from outside was dropped',
    not: 'whether it was of TCP',
    decides: 'a translation that forgot the source? `nft list ruleset` or `iptables-save -t nat`',
  },
  {
    line: /^(?:IPv4: )?martian source [\d.]+ from [\d.]+, (?:on )?dev /,
    cause: null,
    may_be: ['rp-filter', 'martian-source'],
    says: 'a packet with a source address that it may not have there was dropped',
    not: 'whether its way back leads elsewhere, or its source is an address of this host; nor whether it was of TCP',
    decides:
      'the filter of the way back counts: `nstat -az TcpExtIPReversePathFilter` Is it one of this host’s? `ip addr`',
  },
  {
    line: /^nf_ct_\w+: dropping packet/,
    cause: null,
    may_be: [],
    says: 'a helper of connection tracking dropped a packet',
    not: 'which connection',
    decides: 'what it found wrong stands behind it in the log: `dmesg | grep nf_ct_`',
  },
];
