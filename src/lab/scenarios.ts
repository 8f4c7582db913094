// SPDX-License-Identifier: Apache-2.0

import type { Scenario } from './scenario.ts';
import { acceptQueueFull } from './scenarios/accept-queue-full.ts';
import {
  martianSource,
  notOurAddress,
  notOurAddressDuplicate,
  notOurAddressForwarding,
  notOurAddressIntercepted,
  notOurAddressLoopback,
  refusedFromElsewhere,
  wrongMac,
} from './scenarios/addresses.ts';
import { badChecksum } from './scenarios/bad-checksum.ts';
import { bpfDrop } from './scenarios/bpf-drop.ts';
import { bridgeDrop, narrowPort } from './scenarios/bridges.ts';
import {
  dataAfterClose,
  finWait2Expired,
  lingerZeroClose,
  listenerClosed,
  socketDestroyed,
  socketDisconnected,
  timewaitOverflow,
  unreadDataOnClose,
} from './scenarios/closing.ts';
import { connectDenied } from './scenarios/connect-denied.ts';
import { connectRefused } from './scenarios/connect-refused.ts';
import { connectionUnknown } from './scenarios/connection-unknown.ts';
import { conntrackFull, natPortsExhausted } from './scenarios/conntrack.ts';
import { conntrackInvalid, regardless } from './scenarios/conntrack-invalid.ts';
import { conntrackStale } from './scenarios/conntrack-stale.ts';
import { crossedReply } from './scenarios/crossed-reply.ts';
import { deviceDown } from './scenarios/device-down.ts';
import { fastOpen } from './scenarios/fast-open.ts';
import { ttlExceeded } from './scenarios/forwarding.ts';
import { fragmentLost } from './scenarios/fragment-lost.ts';
import { handshakes } from './scenarios/handshakes.ts';
import { ipv6Disabled } from './scenarios/ipv6-disabled.ts';
import { keys } from './scenarios/keys.ts';
import { neighbourTableFull, orphanLimit, tcpMemory } from './scenarios/limits.ts';
import { listeners } from './scenarios/listeners.ts';
import { malformedPacket } from './scenarios/malformed-packet.ts';
import { minTtl } from './scenarios/min-ttl.ts';
import { mptcpReset } from './scenarios/mptcp-reset.ts';
import { netfilterDrop } from './scenarios/netfilter-drop.ts';
import { netfilterLegacy, rejectLegacy } from './scenarios/netfilter-legacy.ts';
import { netfilterReject } from './scenarios/netfilter-reject.ts';
import { netfilterRules } from './scenarios/netfilter-rules.ts';
import { noListener } from './scenarios/no-listener.ts';
import { noRoom } from './scenarios/no-room.ts';
import { noRoute } from './scenarios/no-route.ts';
import { noRouteBack, routeBackRefuses } from './scenarios/no-route-back.ts';
import { peerCollision, peerRewritten } from './scenarios/peer-rewritten.ts';
import { proxyUpstreamFailed } from './scenarios/proxy-upstream-failed.ts';
import { qdiscDrop } from './scenarios/qdisc-drop.ts';
import { deviceQueueFull } from './scenarios/queues.ts';
import { redirected } from './scenarios/redirected.ts';
import { refusedSegments } from './scenarios/refused-segments.ts';
import { requestReset } from './scenarios/request-reset.ts';
import { resetByPeer } from './scenarios/reset-by-peer.ts';
import { rpFilter } from './scenarios/rp-filter.ts';
import { security } from './scenarios/security.ts';
import {
  connectTimeout,
  keepaliveTimeout,
  retransmitTimeout,
  userTimeout,
} from './scenarios/silence.ts';
import { stalls } from './scenarios/stalls.ts';
import { synCookieRejected, synCookies, synQueueFull } from './scenarios/syn-queue-full.ts';
import { synackWrongSource } from './scenarios/synack-wrong-source.ts';
import { synproxyUnanswered } from './scenarios/synproxy.ts';
import { tunnelDrop } from './scenarios/tunnels.ts';
import { unacceptable } from './scenarios/unacceptable.ts';
import {
  connectGivenUp,
  icmpUnreachable,
  neighbourFailed,
  neighbourFailedGateway,
  neighbourFailedTranslated,
  portsExhausted,
  portsExhaustedByBinding,
  portsExhaustedOfOwn,
  selfConnect,
  unreachableRedirected,
} from './scenarios/unreachable.ts';
import { xfrmPolicy } from './scenarios/xfrm-policy.ts';

/** Every failure that the lab can make. */
export const SCENARIOS: readonly Scenario[] = [
  ...noListener,
  ...connectionUnknown,
  ...acceptQueueFull,
  synCookies,
  synCookieRejected,
  synQueueFull,
  noRouteBack,
  routeBackRefuses,
  ...noRoute,
  synackWrongSource,
  requestReset,
  connectRefused,
  ...connectTimeout,
  icmpUnreachable,
  neighbourFailed,
  neighbourFailedGateway,
  neighbourFailedTranslated,
  ...unreachableRedirected,
  connectGivenUp,
  portsExhausted,
  portsExhaustedByBinding,
  portsExhaustedOfOwn,
  ...connectDenied,
  selfConnect,
  ...resetByPeer,
  keepaliveTimeout,
  ...retransmitTimeout,
  userTimeout,
  unreadDataOnClose,
  ...lingerZeroClose,
  socketDestroyed,
  ...socketDisconnected,
  ...dataAfterClose,
  ...timewaitOverflow,
  ...finWait2Expired,
  listenerClosed,
  orphanLimit,
  neighbourTableFull,
  ...tcpMemory,
  ...proxyUpstreamFailed,
  ...refusedSegments,
  netfilterDrop,
  ...netfilterReject,
  ...netfilterLegacy,
  rejectLegacy,
  ...netfilterRules,
  regardless,
  ...bpfDrop,
  ...security,
  ...qdiscDrop,
  ...deviceDown,
  deviceQueueFull,
  ...bridgeDrop,
  narrowPort,
  ...tunnelDrop,
  ...keys,
  minTtl,
  ...unacceptable,
  ...xfrmPolicy,
  rpFilter,
  badChecksum,
  ...malformedPacket,
  fragmentLost,
  ...ipv6Disabled,
  ...noRoom,
  peerRewritten,
  peerCollision,
  ...crossedReply,
  ...listeners,
  mptcpReset,
  ...redirected,
  conntrackFull,
  natPortsExhausted,
  synproxyUnanswered,
  ...conntrackInvalid,
  ...conntrackStale,
  ...martianSource,
  notOurAddress,
  notOurAddressDuplicate,
  notOurAddressForwarding,
  notOurAddressIntercepted,
  notOurAddressLoopback,
  wrongMac,
  ...ttlExceeded,
  refusedFromElsewhere,
  ...stalls,
  ...handshakes,
  ...fastOpen,
];
