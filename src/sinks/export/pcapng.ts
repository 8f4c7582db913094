// SPDX-License-Identifier: Apache-2.0

import type { Verdict } from '../../diagnose/verdict.ts';
import type { Header } from '../../wire/types.gen.ts';
import { printable } from '../printable.ts';
import type { ExportedEvent, ExportSink } from './format.ts';
import { MAX_HEADER_BYTES } from './headers.ts';
import {
  MAX_INTERFACE_BLOCK_BYTES,
  MAX_PACKET_BLOCK_BYTES,
  sectionBlock,
  writeInterfaceBlock,
  writePacketBlock,
} from './pcapng-blocks.ts';
import { type SeenSegment, segmentOf } from './segment.ts';

/** A packet's answer and its drop come from one call; its retransmission is at least 200 ms later. */
const SAME_PACKET_NS = 50_000_000n;
const MAX_PENDING = 10_000;
/** Of more each is written again when it comes again. */
const MOST_INTERFACES = 2 ** 16;
/** Packets are handed on so many bytes at a time. */
const CHUNK_BYTES = 256 << 10;

interface Pending {
  segment: SeenSegment;
  netns: number;
  time_ns: bigint;
  verdicts: Map<string, Verdict>;
  happened: string[];
}

/**
 * A packet for each segment that the events tell of, with its cause as the packet's comment. What
 * became of one segment at several places of the kernel is one packet.
 */
export function pcapngSink(
  header: Pick<Header, 'host' | 'kernel' | 'machine' | 'tcpwhy_version'>,
  write: (bytes: Uint8Array) => void,
): ExportSink {
  const interfaces = new Map<string, number>();
  let next_interface = 0;
  const pending = new Map<string, Pending>();
  /** A new one would have to pass all that were deleted before it. */
  let in_order = pending.entries();
  let oldest: [string, Pending] | undefined;
  let chunk = Buffer.allocUnsafe(0);
  let chunk_bytes = 0;
  const { host, kernel, machine, tcpwhy_version } = header;
  write(
    sectionBlock({
      hardware: printable(machine),
      os: printable(`Linux ${kernel}`),
      application: `tcpwhy ${printable(tcpwhy_version)}`,
      comment: [
        `Recorded by tcpwhy on ${printable(host) || 'a host without a name'}.`,
        'IP and TCP headers are rebuilt from events: no payload, no options but timestamps.',
        'A packet’s comment is what became of it: cause, what happened, what the kernel said.',
      ].join('\n'),
    }),
  );

  return {
    left_out: 0,
    event(exported) {
      const { event, time_ns, happened, verdicts } = exported;
      writeBefore(time_ns - SAME_PACKET_NS);
      const segment = segmentOf(event, verdicts.length > 0);
      if (!segment) {
        this.left_out++;
        return;
      }
      const key = segment.seen ? packetKey(event.netns, segment) : `#${exported.seq}`;
      const packet = pending.get(key) ?? newPacket(exported, segment);
      pending.set(key, packet);
      packet.happened.push(happened + standsFor(event.occurrences));
      for (const verdict of verdicts) packet.verdicts.set(verdict.cause, verdict);
    },
    end() {
      for (const packet of pending.values()) writePacket(packet);
      pending.clear();
      flush();
    },
  };

  function writeBefore(time_ns: bigint): void {
    for (oldest ??= next(); oldest; oldest = next()) {
      const [key, packet] = oldest;
      if (packet.time_ns >= time_ns && pending.size < MAX_PENDING) return;
      pending.delete(key);
      writePacket(packet);
    }
  }

  function next(): [string, Pending] | undefined {
    const { value } = in_order.next();
    if (value) return value;
    in_order = pending.entries();
    return in_order.next().value;
  }

  function flush(): void {
    if (chunk_bytes > 0) write(chunk.subarray(0, chunk_bytes));
    chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    chunk_bytes = 0;
  }

  function writePacket({ segment, netns, time_ns, verdicts, happened }: Pending): void {
    const interface_id = interfaceOf(netns, segment);
    if (chunk_bytes + MAX_PACKET_BLOCK_BYTES > chunk.length) flush();
    const comment = commentOf(verdicts.values(), happened, segment.seen);
    const packet = { interface_id, time_ns, segment, inbound: segment.inbound, comment };
    chunk_bytes = writePacketBlock(packet, chunk, chunk_bytes);
  }

  function interfaceOf(netns: number, { device, ifindex }: SeenSegment): number {
    const name = printable(device) || (ifindex > 0 ? `#${ifindex}` : 'none');
    const key = `${netns} ${name}`;
    const known = interfaces.get(key);
    if (known !== undefined) return known;
    if (chunk_bytes + MAX_INTERFACE_BLOCK_BYTES > chunk.length) flush();
    const about = { name, description: `netns ${netns}`, snaplen: MAX_HEADER_BYTES };
    chunk_bytes = writeInterfaceBlock(about, chunk, chunk_bytes);
    const id = next_interface++;
    if (interfaces.size >= MOST_INTERFACES) interfaces.clear();
    interfaces.set(key, id);
    return id;
  }
}

function newPacket({ event, time_ns }: ExportedEvent, segment: SeenSegment): Pending {
  return { segment, netns: event.netns, time_ns, verdicts: new Map(), happened: [] };
}

function packetKey(netns: number, { flow, seq, ack_seq, flags, payload_len }: SeenSegment): string {
  const { saddr, sport, daddr, dport, service } = flow;
  return `${netns} ${saddr} ${sport} ${daddr} ${dport} ${service} ${seq} ${ack_seq} ${flags} ${payload_len}`;
}

function standsFor(occurrences: number): string {
  return occurrences > 1 ? `; this record stands for ${occurrences}` : '';
}

function commentOf(verdicts: Iterable<Verdict>, happened: string[], seen: boolean): string {
  const lines: string[] = [];
  for (const { cause, severity, basis, title, summary } of verdicts) {
    const inferred = basis === 'inferred' ? ', inferred' : '';
    lines.push(printable(`${cause} (${severity}${inferred}): ${title}`), printable(summary));
  }
  for (const text of happened) lines.push(printable(`kernel: ${text}`));
  if (!seen) lines.push('not a captured segment: rebuilt from the socket');
  return lines.join('\n');
}
