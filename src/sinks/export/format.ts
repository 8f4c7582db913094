// SPDX-License-Identifier: Apache-2.0

import type { Verdict } from '../../diagnose/verdict.ts';
import type { Event } from '../../wire/event.ts';
import type { Packet, Sock } from '../../wire/types.gen.ts';

/** As `--to` takes them. */
export const EXPORT_FORMATS = ['ndjson', 'csv', 'pcapng', 'protobuf'] as const;

export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** An event as an export writes it, in the order in which events happened. */
export interface ExportedEvent {
  event: Event;
  /** As `replay --events` numbers it. */
  seq: number;
  /** Wall clock in nanoseconds since 1970. */
  time_ns: bigint;
  /** What the kernel did, in a few words: dropped (NO_SOCKET in tcp_v4_rcv). */
  happened: string;
  /** The kernel's reason for a drop or a reset by its name, empty where there is none. */
  reason: string;
  /** TCP state of the socket that it is about by its name, empty where there is none. */
  state: string;
  /** Container of the process that it is about, or null. */
  container: string | null;
  verdicts: readonly Verdict[];
}

/** Writes a file of events; each call writes at once, or at the latest with `end`. */
export interface ExportSink {
  /** Events that this format has no room for, so far. */
  left_out: number;
  event(exported: ExportedEvent): void;
  end(): void;
}

/** The packet that an event tells of. */
export function packetIn({ body }: Event): Packet | null {
  return 'packet' in body ? body.packet : null;
}

/** The socket that an event tells of: the one it happened to, or the listener. */
export function sockIn({ body }: Event): Sock | null {
  if ('sock' in body && body.sock) return body.sock;
  return 'listener' in body ? body.listener : null;
}
