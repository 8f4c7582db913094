// SPDX-License-Identifier: Apache-2.0

import type { Verdict } from '../../diagnose/occurrence.ts';
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
    event: (exported) => {
      const cells = cellsOf(exported);
      write(`${COLUMNS.map((column) => cellText(cells[column])).join(',')}\r\n`);
    },
    end: () => {},
    left_out: 0,
  };
}

function cellsOf(exported: ExportedEvent): { [Column in (typeof COLUMNS)[number]]: Cell } {
  const { event, seq, time_ns, happened, reason, state, container, verdicts } = exported;
  const packet = packetIn(event);
  const sock = sockIn(event);
  const flow = packet?.flow ?? sock?.flow;
  const stamped = packet?.has_timestamps ? packet : null;
  const owner = sock && sock.owner.pid > 0 ? sock.owner : null;
  return {
    time_utc: timeText(time_ns),
    seq,
    cause: joined(verdicts, ({ cause }) => cause),
    severity: joined(verdicts, ({ severity }) => severity),
    basis: joined(verdicts, ({ basis }) => basis),
    title: joined(verdicts, ({ title }) => title),
    summary: joined(verdicts, ({ summary }) => summary),
    kind: event.kind,
    happened,
    reason,
    occurrences: event.occurrences,
    netns: event.netns,
    saddr: flow?.saddr,
    sport: flow?.sport,
    daddr: flow?.daddr,
    dport: flow?.dport,
    tcp_flags: packet && flagNames(packet.flags),
    tcp_seq: packet?.seq,
    tcp_ack: packet?.ack_seq,
    window: packet?.window,
    payload_bytes: packet?.payload_len,
    tsval: stamped?.tsval,
    tsecr: stamped?.tsecr,
    ttl: packet?.ttl,
    device: packet?.device,
    state,
    pid: owner?.pid,
    comm: owner?.comm,
    container,
  };
}

const FLAGS = ['CWR', 'ECE', 'URG', 'ACK', 'PSH', 'RST', 'SYN', 'FIN'];

function flagNames(flags: number): string {
  return FLAGS.filter((_, bit) => flags & (0x80 >> bit)).join(' ');
}

/** Of one event mostly one: more are apart by a semicolon. */
function joined(verdicts: readonly Verdict[], of: (verdict: Verdict) => string): string {
  const [only] = verdicts;
  if (!only) return '';
  return verdicts.length === 1 ? of(only) : verdicts.map(of).join('; ');
}

/** Spreadsheets take neither RFC 3339 nor nanoseconds for a time. */
function timeText(time_ns: bigint): string {
  return isoTime(Number(time_ns / 1_000_000n))
    .replace('T', ' ')
    .replace('Z', '');
}

/** What stands in a cell as it is: most do. */
const PLAIN = /^[\w .:/()→'][\w .:/()→'+=@-]*$/;

/** What a spreadsheet would take for the start of a formula, in full width too. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;

/** A cell of RFC 4180. What could be a formula begins with an apostrophe, which spreadsheets hide. */
export function cellText(cell: Cell): string {
  if (cell == null) return '';
  if (typeof cell !== 'string') return String(cell);
  if (PLAIN.test(cell)) return cell;
  const text = printable(FORMULA.test(cell) ? `'${cell}` : cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
