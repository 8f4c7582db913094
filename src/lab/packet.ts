// SPDX-License-Identifier: Apache-2.0

import { addressText } from '../tcp/address.ts';
import { flagsText, TCP_FLAG } from '../tcp/flags.ts';

/** What a packet says, as tcpdump would print it. */
export interface Parsed {
  saddr: string;
  daddr: string;
  /** Ports; 0 in ICMP. */
  sport: number;
  dport: number;
  /** All after the ends: `[S] seq 853654705 win 64240`. */
  text: string;
  /** The same for one packet wherever it is seen, if nobody rewrote it on its way. */
  id: string;
}

const ETHERNET_BYTES = 14;
const TCP = 6;
const ICMP = 1;
const ICMPV6 = 58;
const ICMP_UNREACHABLE = 3;
const ICMPV6_UNREACHABLE = 1;
const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_TIMESTAMPS = 8;

/** The TCP segment in an Ethernet frame, or the ICMP message that a destination cannot be reached. */
export function parsePacket(frame: Buffer): Parsed | null {
  const ip = frame.subarray(ETHERNET_BYTES);
  const type = frame.length > ETHERNET_BYTES ? frame.readUInt16BE(12) : 0;
  if (type === 0x0800 && ip.length >= 20) {
    const header_bytes = (ip.readUInt8(0) & 0xf) * 4;
    const whole = ip.subarray(header_bytes, ip.readUInt16BE(2));
    return upper(
      ip.readUInt8(9),
      ip4(ip, 12),
      ip4(ip, 16),
      whole,
      ip.readUInt16BE(2) - header_bytes,
    );
  }
  if (type === 0x86dd && ip.length >= 40) {
    const [saddr, daddr] = [ip6(ip, 8), ip6(ip, 24)];
    return upper(ip.readUInt8(6), saddr, daddr, ip.subarray(40), ip.readUInt16BE(4));
  }
  return null;
}

const ip4 = (ip: Buffer, at: number) => ip.subarray(at, at + 4).join('.');
const ip6 = (ip: Buffer, at: number) => addressText(ip.subarray(at, at + 16));

/** `bytes` of payload on the wire, of which `payload` may be only the beginning. */
function upper(
  protocol: number,
  saddr: string,
  daddr: string,
  payload: Buffer,
  bytes: number,
): Parsed | null {
  if (protocol === TCP && payload.length >= 20) return { saddr, daddr, ...segment(payload, bytes) };
  const unreachable = protocol === ICMP ? ICMP_UNREACHABLE : ICMPV6_UNREACHABLE;
  if ((protocol !== ICMP && protocol !== ICMPV6) || payload.length < 8) return null;
  const [type = 0, code = 0] = payload;
  if (type !== unreachable) return null;
  const text = `ICMP unreachable, code ${code}`;
  return { saddr, daddr, sport: 0, dport: 0, text, id: payload.toString('hex') };
}

function segment(tcp: Buffer, bytes: number): Omit<Parsed, 'saddr' | 'daddr'> {
  const [sport, dport] = [tcp.readUInt16BE(0), tcp.readUInt16BE(2)];
  const [seq, ack] = [tcp.readUInt32BE(4), tcp.readUInt32BE(8)];
  const header_bytes = (tcp.readUInt8(12) >> 4) * 4;
  const flags = tcp.readUInt8(13);
  const times = timestamps(tcp.subarray(20, header_bytes));
  const parts = [
    `[${flagsText(flags)}] seq ${seq}`,
    flags & TCP_FLAG.ack ? `ack ${ack}` : '',
    `win ${tcp.readUInt16BE(14)}`,
    times ? `ts ${times.tsval}:${times.tsecr}` : '',
    bytes > header_bytes ? `len ${bytes - header_bytes}` : '',
  ];
  // Its checksum is filled in on the way.
  const id = `${tcp.toString('hex', 0, 16)}${tcp.toString('hex', 18, header_bytes)}`;
  return { sport, dport, text: parts.filter((part) => part !== '').join(' '), id };
}

function timestamps(options: Buffer): { tsval: number; tsecr: number } | null {
  for (let at = 0; at < options.length; ) {
    const kind = options[at] ?? OPTION_END;
    const length = kind === OPTION_NOP ? 1 : (options[at + 1] ?? 0);
    if (kind === OPTION_END || length === 0) return null;
    if (kind === OPTION_TIMESTAMPS && at + 10 <= options.length)
      return { tsval: options.readUInt32BE(at + 2), tsecr: options.readUInt32BE(at + 6) };
    at += length;
  }
  return null;
}
