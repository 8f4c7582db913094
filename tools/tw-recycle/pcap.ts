// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../../src/tcp/flags.ts';
import type { Packet } from '../../src/wire/types.gen.ts';

/** A TCP segment over IPv4, as captured. */
export interface Captured {
  /** Wall clock. */
  time_s: number;
  time_us: number;
  packet: Pick<
    Packet,
    | 'flags'
    | 'seq'
    | 'ack_seq'
    | 'window'
    | 'payload_len'
    | 'has_timestamps'
    | 'tsval'
    | 'tsecr'
    | 'ttl'
  >;
  saddr: string;
  daddr: string;
  sport: number;
  dport: number;
}

const MAGIC = 0xa1b2c3d4;
const ETHERNET = 1;
const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const ETHERNET_BYTES = 14;
const ETHER_TYPE_IPV4 = 0x0800;
const TCP = 6;
const TCP_HEADER_BYTES = 20;
const OPTION = { end: 0, nop: 1, timestamps: 8 } as const;

/** The TCP segments over IPv4 of a capture. Throws where it is no little-endian one of Ethernet, with microseconds. */
export function readPcap(bytes: Buffer): Captured[] {
  if (bytes.readUInt32LE(0) !== MAGIC || bytes.readUInt32LE(20) !== ETHERNET)
    throw new Error('no capture of Ethernet with microseconds');
  const segments: Captured[] = [];
  for (let at = FILE_HEADER_BYTES; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at + 8);
    const frame = bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + length);
    const time = { time_s: bytes.readUInt32LE(at), time_us: bytes.readUInt32LE(at + 4) };
    const segment = readFrame(frame);
    if (segment) segments.push({ ...time, ...segment });
    at += RECORD_HEADER_BYTES + length;
  }
  return segments;
}

function readFrame(frame: Buffer): Omit<Captured, 'time_s' | 'time_us'> | null {
  if (frame.readUInt16BE(12) !== ETHER_TYPE_IPV4) return null;
  const ip = frame.subarray(ETHERNET_BYTES);
  if (ip[9] !== TCP) return null;
  const ipBytes = (ip.readUInt8(0) & 15) * 4;
  const tcp = ip.subarray(ipBytes, ip.readUInt16BE(2));
  const tcpBytes = (tcp.readUInt8(12) >> 4) * 4;
  return {
    saddr: ip.subarray(12, 16).join('.'),
    daddr: ip.subarray(16, 20).join('.'),
    sport: tcp.readUInt16BE(0),
    dport: tcp.readUInt16BE(2),
    packet: {
      seq: tcp.readUInt32BE(4),
      ack_seq: tcp.readUInt32BE(8),
      flags: tcp.readUInt8(13),
      window: tcp.readUInt16BE(14),
      payload_len: tcp.length - tcpBytes,
      ttl: ip.readUInt8(8),
      ...timestamps(tcp.subarray(TCP_HEADER_BYTES, tcpBytes)),
    },
  };
}

function timestamps(options: Buffer): Pick<Packet, 'has_timestamps' | 'tsval' | 'tsecr'> {
  for (let at = 0; at < options.length && options[at] !== OPTION.end; ) {
    if (options[at] === OPTION.timestamps)
      return {
        has_timestamps: 1,
        tsval: options.readUInt32BE(at + 2),
        tsecr: options.readUInt32BE(at + 6),
      };
    at += options[at] === OPTION.nop ? 1 : Math.max(2, options[at + 1] ?? 0);
  }
  return { has_timestamps: 0, tsval: 0, tsecr: 0 };
}

export function isSyn({ packet }: Captured): boolean {
  return (packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn;
}
