// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import type { Full, Stalled } from '../../known/stalls.ts';
import { familyOf } from '../../tcp/address.ts';
import { endpoint, local, remote } from '../../tcp/endpoint.ts';
import { errnoName } from '../../tcp/errno.ts';
import { service } from '../../tcp/service.ts';
import type { Event } from '../../wire/event.ts';
import type { Drop, Sock } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { byPeer } from '../shared/groups.ts';
import { functionName, NO_REASON } from '../shared/kernel.ts';
import { CLAMP, clampAdvice, sizeDecides } from '../shared/path-mtu.ts';
import { ownerOf } from '../shared/processes.ts';
import { TIMEOUTS } from '../shared/silence.ts';
import { deviceName, seconds } from '../shared/wording.ts';

/** Whoever got the ICMP message has sent smaller ones by then. */
const HEEDED_MS = 700;

type TooLarge = {
  from: string;
  to: string;
  segment_bytes: number;
  passed_bytes: number | null;
  smaller_arrived: boolean | null;
  /** Null where it was dropped here. */
  retransmits: number | null;
  waited_ms: number | null;
  mtu: number | null;
  device: string | null;
  /** Of what was dropped here: with its headers; of the device; whether it came from another host. */
  packet_bytes: number | null;
  device_mtu: number | null;
  forwarded: boolean | null;
  repeated_ms: number | null;
  ended_with: string | null;
  /** Where it was handed on to a device that takes less, and nobody is told. */
  handed_on?: HandedOn;
  /** Who had told this host so just before the connection ended, and how long before. */
  icmp_from?: string;
  icmp_ago_ms?: number;
};

type HandedOn = 'by a bridge' | 'between two devices';

export default defineCause<TooLarge>({
  id: 'mtu-black-hole',
  title: 'segments too large for the path',
  severity: 'error',
  explains:
    'Full-size segments die and small ones pass: a link on the way takes less, and the ICMP message that says so does not arrive.',
  seenAs: ['stands-still', 'times-out'],
  needs: ['stalled', 'drop'],
  on: ['retransmit', 'state_change', 'drop'],
  supersedes: [...TIMEOUTS, 'retransmitting'],
  match(event, known) {
    const { netns } = event;
    const stalled = known.stall(event, 'timeouts');
    const told = stalled && unheeded(event, stalled.sock);
    const full = stalled && fullOf(stalled, told);
    if (stalled && full) {
      const { sock, ended, since_ms: waited_ms } = stalled;
      return {
        evidence: {
          from: local(sock.flow),
          to: remote(sock.flow),
          segment_bytes: full.segment_bytes,
          passed_bytes: full.passed_bytes,
          smaller_arrived: full.smaller_arrived,
          retransmits: sock.retransmits,
          waited_ms,
          mtu: full.path_mtu || null,
          device: null,
          packet_bytes: null,
          device_mtu: null,
          forwarded: null,
          repeated_ms: null,
          ended_with: ended === null ? null : errnoName(ended),
          ...told,
        },
        basis: full.smaller_arrived || told ? 'direct' : 'inferred',
        // Until its end it may be no more than a peer that is slow.
        ...(!full.smaller_arrived && ended === null && { severity: 'warning' as const }),
        subject: 'flow',
        where: service(sock.flow),
        flow: sock.flow,
        group: byPeer(netns, sock.flow),
        owner: ownerOf(sock.owner),
        began_ns: event.ktime_ns - waited_ms * 1e6,
        ...(!full.opens && { again: true as const }),
      };
    }
    if (event.kind !== 'drop' || !isTooBig(event, known)) return null;
    const { packet, route_mtu, route_ifindex } = event.body;
    const handed_on = handedOn(event, known);
    const repeated_ms = known.droppedBefore_ms(event);
    const isUnheeded = handed_on !== null || (repeated_ms !== null && repeated_ms >= HEEDED_MS);
    const { saddr, sport, daddr, dport } = packet.flow;
    return {
      evidence: {
        from: endpoint(saddr, sport),
        to: endpoint(daddr, dport),
        segment_bytes: packet.payload_len,
        passed_bytes: null,
        smaller_arrived: null,
        retransmits: null,
        waited_ms: null,
        mtu: route_mtu < bytesOf(event.body) ? route_mtu || null : null,
        device: (handed_on === null && known.device(netns, route_ifindex)) || packet.device || null,
        packet_bytes: bytesOf(event.body),
        device_mtu: route_mtu || null,
        forwarded: packet.ifindex > 0,
        repeated_ms,
        ended_with: null,
        ...(handed_on !== null && { mtu: null, device_mtu: null, handed_on }),
      },
      basis: 'direct',
      subject: 'flow',
      where: service(packet.flow),
      flow: packet.flow,
      group: `${netns} ${service(packet.flow)} ${handed_on ?? (isUnheeded ? 'unheeded' : '')}`,
      owner: null,
      severity: isUnheeded ? 'warning' : 'info',
    };
  },
  summary({ from, to, segment_bytes, passed_bytes, smaller_arrived, retransmits, mtu, ...more }) {
    if (retransmits === null) {
      const { device, repeated_ms, handed_on, packet_bytes } = more;
      if (handed_on !== undefined)
        return `a segment of ${segment_bytes} bytes (${packet_bytes} with its headers) ${from} → ${to} is longer than ${handed_on === 'by a bridge' ? `port ${device ?? 'of a bridge'}` : `the other end of ${device ?? 'its device'}`} takes: dropped without a word`;
      const again =
        repeated_ms !== null && repeated_ms >= HEEDED_MS
          ? `; it came again after ${seconds(repeated_ms)}: the ICMP message does not reach ${from}`
          : ', and told the sender by ICMP';
      const size = more.packet_bytes === null ? '' : ` (${more.packet_bytes} with its headers)`;
      const less =
        mtu !== null
          ? ` (MTU ${mtu})`
          : more.device_mtu === null
            ? ''
            : `, whose MTU is ${more.device_mtu}, while the route by it takes less: as it has learned, or since a tunnel adds headers`;
      return `a segment of ${segment_bytes} bytes${size} ${from} → ${to} is too big for ${device ?? 'the next hop'}${less}${again}`;
    }
    const end = more.ended_with === null ? '' : `; the connection ended with ${more.ended_with}`;
    const never = `segments of ${segment_bytes} bytes ${from} → ${to} are never acknowledged, sent again ${retransmits} times`;
    const smaller = `a smaller MTU than ${mtu ?? 'this host has'}`;
    if (more.icmp_from !== undefined)
      return `${never}, though ${more.icmp_from} told this host ${seconds(more.icmp_ago_ms ?? 0)} before by ICMP that they are too big: a rule here drops that, or TCP does not believe it${end}`;
    if (smaller_arrived)
      return `${never}; smaller ones after it arrived, and TCP heard of no ICMP: a link on the path has ${smaller}${end}`;
    return `${never}; what went before, ${passed_bytes} bytes in all, passed. TCP heard of no ICMP, so it is one of: a link on the path has ${smaller}; the peer takes nothing any more; the peer or the path to it is gone${end}`;
  },
  advice(
    { retransmits, segment_bytes, device, mtu, forwarded, device_mtu, ...more },
    { saddr, daddr },
  ) {
    const six = familyOf(daddr) === 6;
    if (retransmits === null) {
      const known = deviceName(device);
      if (more.handed_on !== undefined)
        return [
          more.handed_on === 'by a bridge'
            ? `what ${known ?? 'the port'} takes (mtu): \`ip -d link show dev ${known ?? 'DEV'}\` All ports of a bridge, and all hosts behind them, have to take the same: \`ip link show type bridge_slave\``
            : `both ends of a pair of devices have to take the same (mtu): \`ip -d link show dev ${known ?? 'DEV'}\` The other one is named behind its @, and may be in another namespace (link-netns)`,
          `what does ${saddr} send? It has to send less, or all that is between has to take ${more.packet_bytes} bytes (jumbo frames): there: \`ip route get ${daddr}\` and \`ip link show\``,
          `no router tells ${saddr}, as none has a part in it: until then net.ipv4.tcp_mtu_probing=1 there finds it by itself`,
        ];
      if (!forwarded)
        return [
          `what the route takes (mtu): \`ip route get ${daddr}\` What the device takes, and if it is a tunnel what it adds: \`ip -d link show dev ${known ?? 'DEV'}\``,
          `a tunnel may take no more than the device below it, less its own headers (VXLAN 50 bytes, 70 over IPv6): ${device_mtu === null ? `\`ip link show dev ${known ?? 'DEV'}\`` : `it takes ${device_mtu} now; with room for 100: \`ip link set dev ${known ?? 'DEV'} mtu ${device_mtu - 100}\``}`,
          `this host learns it by itself and sends smaller segments then; each destination that it learns so costs a pause: \`ip route show cache ${daddr}\``,
        ];
      return [
        `does the ICMP message that this hop sends (${six ? 'packet too big' : 'fragmentation needed'}${mtu === null ? '' : `, MTU ${mtu}`}) reach ${saddr}? There: \`tcpdump -ni any ${six ? 'icmp6' : 'icmp'}\` A rule that drops ICMP, here or on the way back, makes a black hole: \`nft list ruleset | grep -n icmp\``,
        `clamp the MSS of what passes here, so that no segment is too big: ${CLAMP}`,
        `or is the MTU of the device too small? \`ip link show${known === null ? '' : ` dev ${known}`}\``,
      ];
    }
    const name = six ? 'packet too big' : 'fragmentation needed';
    return [
      ...(more.icmp_from === undefined
        ? []
        : [
            `which rule here drops ICMP ${name}? \`nft list ruleset | grep -n icmp\` or \`iptables-save -c | grep -i icmp\` Let it pass before that rule. None does: \`nstat -az TcpExtOutOfWindowIcmps\` and net.ipv4.ip_no_pmtu_disc say what TCP did with it`,
          ]),
      sizeDecides({ saddr, daddr }, segment_bytes, mtu),
      clampAdvice(daddr),
      `let ICMP ${name} pass on the way back to ${saddr}, and here: \`nft list ruleset | grep -n icmp\``,
      `until then: a smaller MTU on the route: \`ip route get ${daddr}\` shows it, and net.ipv4.tcp_mtu_probing=1 in its namespace finds it by itself`,
    ];
  },
});

/**
 * Where nothing tells that smaller segments pass, an ICMP message does that is of what was sent again: whoever
 * heeds the first one sends smaller ones.
 */
function fullOf(
  { full, large, since_ms }: Stalled,
  told: ReturnType<typeof unheeded>,
): (Full & { opens: boolean }) | null {
  if (full || !large || !told) return full;
  return since_ms - told.icmp_ago_ms >= HEEDED_MS ? { ...large, opens: true } : null;
}

/** Where the kernel drops what is too big and may not be cut in pieces, without a reason. */
const CUTTING = new Set(['ip_fragment', 'ip6_fragment']);

function isTooBig(event: Event<'drop'>, known: Knowledge): boolean {
  const { reason, location } = event.body;
  const name = known.dropReason(reason);
  if (name === 'PKT_TOO_BIG') return true;
  if (known.hasDropReasons() && name !== NO_REASON) return false;
  return CUTTING.has(functionName(location, known)) || handedOn(event, known) !== null;
}

/** Where a frame goes on to another device, which may take less: it is dropped there as it is where that is down. */
const HANDING_ON: Readonly<Record<string, HandedOn>> = {
  br_dev_queue_push_xmit: 'by a bridge',
  br_nf_dev_queue_xmit: 'by a bridge',
  __dev_forward_skb: 'between two devices',
  __dev_forward_skb2: 'between two devices',
};
/** All take that (RFC 1122). */
const TAKEN_BYTES = 576;

function handedOn({ netns, body }: Event<'drop'>, known: Knowledge): HandedOn | null {
  const { packet, location, reason } = body;
  if (known.dropReason(reason) !== NO_REASON || bytesOf(body) <= TAKEN_BYTES) return null;
  if (known.hooksOf(netns, packet.device)?.state) return null;
  return HANDING_ON[functionName(location, known)] ?? null;
}

const FRAGMENTATION_NEEDED = { type: 3, code: 4 };
const PACKET_TOO_BIG = 2;

/** Who has told this host that what the connection sent is too big: of a connection that ended by it all the same. */
function unheeded({ kind, body }: Event, { snd_nxt, unacked_bytes }: Sock) {
  const icmp = kind === 'state_change' ? body.icmp : null;
  if (!icmp) return null;
  const isTooBigMessage =
    familyOf(icmp.from) === 6
      ? icmp.type === PACKET_TOO_BIG
      : icmp.type === FRAGMENTATION_NEEDED.type && icmp.code === FRAGMENTATION_NEEDED.code;
  const in_flight = (snd_nxt - icmp.seq) >>> 0;
  if (!isTooBigMessage || in_flight === 0 || in_flight > unacked_bytes) return null;
  return { icmp_from: icmp.from, icmp_ago_ms: icmp.age_ms };
}

/** With its headers; those of a segment that is many in one are counted once. */
function bytesOf({ packet }: Drop): number {
  const headers = (familyOf(packet.flow.saddr) === 6 ? 40 : 20) + (packet.has_timestamps ? 32 : 20);
  return packet.payload_len + headers;
}
