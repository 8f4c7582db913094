// SPDX-License-Identifier: Apache-2.0

import type { Verdict } from '../../diagnose/verdict.ts';
import { printable } from '../printable.ts';
import { isoTime } from '../time.ts';
import { type ExportedEvent, type ExportSink, packetIn, sockIn } from './format.ts';

type Cell = string | number | null | undefined;

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
  write(`${COLUMNS.join(',')}\r\n`);
  return {
    event: (exported) => write(rowOf(exported)),
    end: () => {},
    left_out: 0,
  };
}

/** In the order of the columns. */
function rowOf(exported: ExportedEvent): string {
  const { event, seq, time_ns, happened, reason, state, container, verdicts } = exported;
  const packet = packetIn(event);
  const sock = sockIn(event);
  const flow = packet?.flow ?? sock?.flow;
  const stamped = packet?.has_timestamps ? packet : null;
  const owner = sock && sock.owner.pid > 0 ? sock.owner : null;
  const cells: Cell[] = [
    timeText(time_ns),
    seq,
    joined(verdicts, ({ cause }) => cause),
    joined(verdicts, ({ severity }) => severity),
    joined(verdicts, ({ basis }) => basis),
    joined(verdicts, ({ title }) => title),
    joined(verdicts, ({ summary }) => summary),
    event.kind,
    happened,
    reason,
    event.occurrences,
    event.netns,
    flow?.saddr,
    flow?.sport,
    flow?.daddr,
    flow?.dport,
    packet && (FLAG_NAMES[packet.flags & 0xff] as string),
    packet?.seq,
    packet?.ack_seq,
    packet?.window,
    packet?.payload_len,
    stamped?.tsval,
    stamped?.tsecr,
    packet?.ttl,
    packet?.device,
    state,
    owner?.pid,
    owner?.comm,
    container,
  ];
  let row = cellText(cells[0]);
  for (let i = 1; i < cells.length; i++) row += `,${cellText(cells[i])}`;
  return `${row}\r\n`;
}

const FLAGS = ['CWR', 'ECE', 'URG', 'ACK', 'PSH', 'RST', 'SYN', 'FIN'];

/** By byte 13 of the TCP header. */
const FLAG_NAMES = Array.from({ length: 256 }, (_, flags) =>
  FLAGS.filter((_, bit) => flags & (0x80 >> bit)).join(' '),
);

/** Of one event mostly one: more are apart by a semicolon. */
function joined(verdicts: readonly Verdict[], of: (verdict: Verdict) => string): string {
  const [only] = verdicts;
  if (!only) return '';
  return verdicts.length === 1 ? of(only) : verdicts.map(of).join('; ');
}

/** Spreadsheets take neither RFC 3339 nor nanoseconds for a time. */
function timeText(time_ns: bigint): string {
  const time = isoTime(Number(time_ns / 1_000_000n));
  return `${time.slice(0, -AFTER_DATE)} ${time.slice(1 - AFTER_DATE, -1)}`;
}

const AFTER_DATE = 'T00:00:00.000Z'.length;

/** What stands in a cell as it is: most do. */
const PLAIN = /^[\w .:/()→'][\w .:/()→'+=@-]*$/;

/** What a spreadsheet would take for the start of a formula, in full width too. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;

/** A cell of RFC 4180. What could be a formula begins with an apostrophe, which spreadsheets hide. */
export function cellText(cell: Cell): string {
  if (cell == null || cell === '') return '';
  if (typeof cell !== 'string') return String(cell);
  if (PLAIN.test(cell)) return cell;
  const text = printable(FORMULA.test(cell) ? `'${cell}` : cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
