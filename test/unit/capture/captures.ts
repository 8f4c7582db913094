// SPDX-License-Identifier: Apache-2.0

import { Capture } from '../../../src/capture/capture.ts';
import { CAUSES } from '../../../src/causes/registry.gen.ts';
import type { Finding } from '../../../src/diagnose/finding.ts';
import { Pipeline } from '../../../src/diagnose/pipeline.ts';
import { frame, type Toa } from '../../../src/lab/segment.ts';
import { splitEndpoint } from '../../../src/tcp/endpoint.ts';
import { TCP_FLAG } from '../../../src/tcp/flags.ts';

/** A segment, as tcpdump writes one. */
export interface Row {
  /** Since the capture began. */
  at_ms: number;
  from: string;
  to: string;
  /** `S`, `S.`, `P.`, `.`, `F.`, `R`, `R.` */
  flags: string;
  seq: number;
  ack?: number;
  win?: number;
  len?: number;
  ttl?: number;
  timestamps?: { tsval: number; tsecr: number };
  toa?: Toa;
  options?: Uint8Array;
  /** Of the device that it came from. */
  mac?: string;
  ip_id?: number;
}

const FLAGS: Record<string, number> = {
  S: TCP_FLAG.syn,
  F: TCP_FLAG.fin,
  R: TCP_FLAG.rst,
  P: TCP_FLAG.psh,
  '.': TCP_FLAG.ack,
};
const MACS = { from: '02:00:00:00:00:01', to: '02:00:00:00:00:02' };
const IP_ID_AT = 18;
/** 2026-11-22T18:56:40Z. */
export const BEGAN_S = 1_795_373_800;
export const ETHERNET = 1;

export function frameOf(row: Row): Buffer {
  const [from, to] = [ends(row.from), ends(row.to)];
  const macs = { ...MACS, ...(row.mac && { from: row.mac }) };
  const bytes = frame(
    from.host,
    to.host,
    {
      sport: from.port,
      dport: to.port,
      seq: row.seq >>> 0,
      ack: (row.ack ?? 0) >>> 0,
      flags: [...row.flags].reduce((flags, letter) => flags | (FLAGS[letter] ?? 0), 0),
      window: row.win ?? 512,
      payload: Buffer.alloc(row.len ?? 0, 0x61),
      ttl: row.ttl ?? 64,
      ...(row.timestamps && { timestamps: row.timestamps }),
      ...(row.toa && { toa: row.toa }),
      ...(row.options && { options: row.options }),
    },
    macs,
  );
  if (row.ip_id !== undefined) bytes.writeUInt16BE(row.ip_id, IP_ID_AT);
  return bytes;
}

function ends(text: string): { host: string; port: number } {
  const parts = splitEndpoint(text);
  if (!parts) throw new TypeError(`${text} is no end`);
  return { host: parts.host, port: Number(parts.port) };
}

/** Microseconds, little-endian. */
export function pcap(rows: readonly Row[], link = ETHERNET): Buffer {
  return pcapOf(
    rows.map((row) => ({ at_ms: row.at_ms, frame: frameOf(row) })),
    link,
  );
}

export function pcapOf(
  frames: readonly { at_ms: number; frame: Uint8Array; length?: number }[],
  link = ETHERNET,
): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(262_144, 16);
  head.writeUInt32LE(link, 20);
  const records = frames.flatMap(({ at_ms, frame: bytes, length }) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(BEGAN_S + Math.floor(at_ms / 1000), 0);
    record.writeUInt32LE(Math.round((at_ms % 1000) * 1000), 4);
    record.writeUInt32LE(bytes.length, 8);
    record.writeUInt32LE(length ?? bytes.length, 12);
    return [record, bytes];
  });
  return Buffer.concat([head, ...records]);
}

/** What is found in a capture, that comes in pieces of so many bytes. */
export function findingsIn(bytes: Buffer, piece_bytes = bytes.length): Finding[] {
  const capture = new Capture('test.pcap');
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += piece_bytes)
    pieces.push(capture.push(bytes.subarray(at, at + piece_bytes)));
  pieces.push(capture.end(false));
  const pipeline = new Pipeline(capture.header(), CAUSES);
  for (const piece of pieces) pipeline.push(piece);
  pipeline.finish();
  const found = [...pipeline.engine.findings.values()]
    .map(({ finding }) => finding)
    .filter(({ count }) => count > 0);
  for (const { cause } of found) {
    if (!CAUSES.some(({ id, packets }) => id === cause && packets))
      throw new Error(`${cause} was found in packets, and does not say that they tell it`);
  }
  return found;
}

/** The causes found, each with how often. */
export function causesIn(rows: readonly Row[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { cause, count } of findingsIn(pcap(rows)))
    counts[cause] = (counts[cause] ?? 0) + count;
  return counts;
}

/** A connection that opens and says something, from `at_ms` on: sequence numbers are relative to these. */
export function opened(
  client: string,
  server: string,
  { at_ms = 0, isn = 1000, server_isn = 5000, ttl = 64, server_ttl = 64 } = {},
): Row[] {
  const up = { from: client, to: server, ttl };
  const down = { from: server, to: client, ttl: server_ttl };
  return [
    { ...up, at_ms, flags: 'S', seq: isn },
    { ...down, at_ms: at_ms + 0.1, flags: 'S.', seq: server_isn, ack: isn + 1 },
    { ...up, at_ms: at_ms + 0.2, flags: '.', seq: isn + 1, ack: server_isn + 1 },
    { ...up, at_ms: at_ms + 0.3, flags: 'P.', seq: isn + 1, ack: server_isn + 1, len: 100 },
    { ...down, at_ms: at_ms + 0.4, flags: '.', seq: server_isn + 1, ack: isn + 101 },
  ];
}
