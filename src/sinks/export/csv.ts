// SPDX-License-Identifier: Apache-2.0

import type { Flow, Packet, Sock } from '../../wire/types.gen.ts';
import { printable } from '../printable.ts';
import { type ExportedEvent, type ExportSink, packetIn, sockIn } from './format.ts';

type Cell = string | number | bigint | null;

/** Names of the columns, in their order; docs/export.md says what each holds. */
export const COLUMNS = [
  'time_utc',
  'seq',
  'cause',
  'severity',
  'basis',
  'title',
  'summary',
  'kind',
  'happened',
  'reason',
  'occurrences',
  'netns',
  'saddr',
  'sport',
  'daddr',
  'dport',
  'tcp_flags',
  'tcp_seq',
  'tcp_ack',
  'window',
  'payload_bytes',
  'tsval',
  'tsecr',
  'ttl',
  'device',
  'state',
  'pid',
  'comm',
  'container',
] as const;

/** One row an event, after RFC 4180; no cell is a formula. */
export function csvSink(write: (text: string) => void): ExportSink {
  const row = (cells: readonly Cell[]) => write(`${cells.map(cellText).join(',')}\r\n`);
  row(COLUMNS);
  return {
    event: (exported) => {
      const cells = cellsOf(exported);
      row(COLUMNS.map((column) => cells[column] ?? null));
    },
    end: () => {},
    left_out: 0,
  };
}

function cellsOf(exported: ExportedEvent): { [Column in (typeof COLUMNS)[number]]?: Cell } {
  const { event, seq, time_ns, happened, reason, state, container, verdicts } = exported;
  const packet = packetIn(event);
  const sock = sockIn(event);
  return {
    time_utc: timeText(time_ns),
    seq,
    cause: joined(verdicts.map(({ cause }) => cause)),
    severity: joined(verdicts.map(({ severity }) => severity)),
    basis: joined(verdicts.map(({ basis }) => basis)),
    title: joined(verdicts.map(({ title }) => title)),
    summary: joined(verdicts.map(({ summary }) => summary)),
    kind: event.kind,
    happened,
    reason,
    occurrences: event.occurrences,
    netns: event.netns,
    ...flowCells(packet?.flow ?? sock?.flow),
    ...(packet && packetCells(packet)),
    state,
    ...(sock && ownerCells(sock)),
    container,
  };
}

function flowCells(flow: Flow | undefined) {
  return flow && { saddr: flow.saddr, sport: flow.sport, daddr: flow.daddr, dport: flow.dport };
}

function packetCells({ flags, seq, ack_seq, window, payload_len, ttl, device, ...rest }: Packet) {
  return {
    tcp_flags: FLAGS.filter((_, bit) => flags & (0x80 >> bit)).join(' '),
    tcp_seq: seq,
    tcp_ack: ack_seq,
    window,
    payload_bytes: payload_len,
    ...(rest.has_timestamps && { tsval: rest.tsval, tsecr: rest.tsecr }),
    ttl,
    device,
  };
}

const FLAGS = ['CWR', 'ECE', 'URG', 'ACK', 'PSH', 'RST', 'SYN', 'FIN'];

function ownerCells({ owner }: Sock) {
  return owner.pid > 0 && { pid: owner.pid, comm: owner.comm };
}

/** Of one event mostly one: more are apart by a semicolon. */
function joined(texts: readonly string[]): string {
  return texts.join('; ');
}

/** Spreadsheets take neither RFC 3339 nor nanoseconds for a time. */
function timeText(time_ns: bigint): string {
  return new Date(Number(time_ns / 1_000_000n)).toISOString().replace('T', ' ').replace('Z', '');
}

/** What a spreadsheet would take for the start of a formula, in full width too. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;

/** A cell of RFC 4180. What could be a formula begins with an apostrophe, which spreadsheets hide. */
export function cellText(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell !== 'string') return String(cell);
  const text = printable(FORMULA.test(cell) ? `'${cell}` : cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
