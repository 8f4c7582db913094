// SPDX-License-Identifier: Apache-2.0

import type { Verdict } from '../../diagnose/verdict.ts';
import type { Packet } from '../../wire/types.gen.ts';
import { printable } from '../printable.ts';
import { isoTime } from '../time.ts';
import { type ExportedEvent, type ExportSink, packetIn, sockIn } from './format.ts';

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

/** In the order of the columns. What cannot have anything special in it stands as it is. */
function rowOf(exported: ExportedEvent): string {
  const { event, seq, time_ns, happened, reason, state, container, verdicts } = exported;
  const packet = packetIn(event);
  const sock = sockIn(event);
  const flow = packet?.flow ?? sock?.flow;
  const verdict = verdictCells(verdicts);
  const event_cells = `${event.kind},${cellText(happened)},${cellText(reason)},${event.occurrences},${event.netns}`;
  const ends = flow ? `${flow.saddr},${flow.sport},${flow.daddr},${flow.dport}` : ',,,';
  const segment = packet ? segmentCells(packet) : NO_SEGMENT;
  const owner = sock && sock.owner.pid > 0 ? `${sock.owner.pid},${cellText(sock.owner.comm)}` : ',';
  return `${timeText(time_ns)},${seq},${verdict},${event_cells},${ends},${segment},${state},${owner},${cellText(container)}\r\n`;
}

/** Of one event mostly one: more are apart by a semicolon. */
function verdictCells(verdicts: readonly Verdict[]): string {
  if (verdicts.length === 0) return ',,,,';
  const only = verdicts[0] as Verdict;
  const all = (of: (verdict: Verdict) => string) =>
    verdicts.length === 1 ? of(only) : verdicts.map(of).join('; ');
  const title = cellText(all((verdict) => verdict.title));
  const summary = cellText(all((verdict) => verdict.summary));
  return `${all(({ cause }) => cause)},${all(({ severity }) => severity)},${all(({ basis }) => basis)},${title},${summary}`;
}

function segmentCells(packet: Packet): string {
  const { flags, seq, ack_seq, window, payload_len, tsval, tsecr, ttl, device } = packet;
  const stamps = packet.has_timestamps ? `${tsval},${tsecr}` : ',';
  return `${FLAG_NAMES[flags & 0xff]},${seq},${ack_seq},${window},${payload_len},${stamps},${ttl},${cellText(device)}`;
}

const NO_SEGMENT = ',,,,,,,,';

const FLAGS = ['CWR', 'ECE', 'URG', 'ACK', 'PSH', 'RST', 'SYN', 'FIN'];

/** By byte 13 of the TCP header. */
const FLAG_NAMES = Array.from({ length: 256 }, (_, flags) =>
  FLAGS.filter((_, bit) => flags & (0x80 >> bit)).join(' '),
);

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
export function cellText(cell: string | null | undefined): string {
  if (!cell) return '';
  if (PLAIN.test(cell)) return cell;
  const text = printable(FORMULA.test(cell) ? `'${cell}` : cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
