// SPDX-License-Identifier: Apache-2.0

const MARK = 'no reason: a mark of the enum';
const NDISC = 'neighbour discovery: ICMPv6';
const EXTENDED = 'a packet with IPv6 extension headers, in which no segment is looked for';
const CAN = 'a frame of a CAN bus';
const OUTER = 'the outer packet of a VXLAN tunnel: UDP';

/**
 * Reasons that no TCP segment can meet of those that hooks read, and why, as
 * include/net/dropreason-core.h says of them. What is not here a TCP segment can meet.
 */
export const NOT_TCP: Record<string, string> = {
  SKB_NOT_DROPPED_YET: MARK,
  SKB_CONSUMED: MARK,
  MAX: MARK,
  ERROR: MARK,
  SUBSYS_MASK: MARK,
  UNIX_DISCONNECT: 'Unix domain sockets',
  UNIX_SKIP_OOB: 'Unix domain sockets',
  UDP_CSUM: 'UDP',
  ICMP_CSUM: 'ICMP',
  INVALID_PROTO: 'ICMP: a broadcast that RFC 1122 forbids to answer',
  IP_NOPROTO: 'a protocol that the kernel does not have',
  UNHANDLED_PROTO: 'a frame that is no IP packet',
  IPV6_BAD_EXTHDR: EXTENDED,
  IPV6_TOO_MANY_EXTHDRS: EXTENDED,
  IPV6_NDISC_FRAG: NDISC,
  IPV6_NDISC_HOP_LIMIT: NDISC,
  IPV6_NDISC_BAD_CODE: NDISC,
  IPV6_NDISC_BAD_OPTIONS: NDISC,
  IPV6_NDISC_NS_OTHERHOST: NDISC,
  ARP_PVLAN_DISABLE: 'ARP',
  MAC_IEEE_MAC_CONTROL: 'a control frame between bridges',
  VXLAN_INVALID_HDR: OUTER,
  VXLAN_VNI_NOT_FOUND: OUTER,
  CAN_RX_INVALID_FRAME: CAN,
  CANFD_RX_INVALID_FRAME: CAN,
  CANXL_RX_INVALID_FRAME: CAN,
  IPVLAN_MULTICAST_BACKLOG: 'multicast',
  MACVLAN_BROADCAST_BACKLOG: 'broadcast and multicast',
};
