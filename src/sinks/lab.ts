// SPDX-License-Identifier: Apache-2.0

import type { End, Sight } from '../lab/capture.ts';
import type { Row } from '../lab/conformance.ts';
import type { Moment, View } from '../lab/ends.ts';
import type { Score } from '../lab/score.ts';
import { wrap } from './wrap.ts';

const MOST_SOCKETS = 6;
const MOST_PACKETS = 40;

/** What the two ends of a scenario saw, as tcpdump, ss and netstat -s show it. */
export function viewLines(view: View, nameOf: ReadonlyMap<string, string>): string[] {
  return [
    ...packetLines(view.packets, nameOf),
    ...view.moments.flatMap((moment) => momentLines(moment)),
    ...counterLines(view.counters),
  ];
}

function packetLines(packets: readonly Sight[], nameOf: ReadonlyMap<string, string>): string[] {
  const hosts = new Set(packets.flatMap(({ saddr, daddr }) => [saddr, daddr]));
  const legend = [...hosts].map((address) => `${nameOf.get(address) ?? 'a host'} ${address}`);
  const host = (address: string, port: number) =>
    `${nameOf.get(address) ?? address}${port > 0 ? `:${port}` : ''}`;
  const first_us = packets[0]?.time_us ?? 0;
  const rest = packets.length - MOST_PACKETS;
  return [
    'As tcpdump shows it at both ends (c client, s server, · seen at one end only):',
    ...wrap(legend.join(', '), '  ', '  '),
    ...packets.slice(0, MOST_PACKETS).flatMap(({ from, to, time_us, text, ...packet }) => {
      const time = ((time_us - first_us) / 1000).toFixed(3).padStart(10);
      const ends = `${host(packet.saddr, packet.sport)} > ${host(packet.daddr, packet.dport)}`;
      return wrap(`${ends} ${text}`, `${time} ms  ${way(from, to)}  `, ' '.repeat(22));
    }),
    ...(rest > 0 ? [`  … and ${rest} more`] : []),
  ];
}

/** `c→s`, or with a dot in place of the end that did not see it. */
function way(from: End | null, to: End | null): string {
  const letter = (end: End | null) => end?.[0] ?? '·';
  const arrow = from === 'server' || (from === null && to === 'client') ? '←' : '→';
  return arrow === '→' ? `${letter(from)}→${letter(to)}` : `${letter(to)}←${letter(from)}`;
}

function momentLines({ awaited, sockets }: Moment): string[] {
  return [
    '',
    ...wrap(`As ss shows the sockets, having waited for ${awaited.join(', for ')}:`, '', '  '),
    ...socketLines('client', sockets.client),
    ...socketLines('server', sockets.server),
  ];
}

function socketLines(end: End, sockets: readonly string[]): string[] {
  const rest = sockets.length - MOST_SOCKETS;
  const shown = sockets.slice(0, MOST_SOCKETS).flatMap((line) => {
    const [state = '', received = '', queued = '', local = '', remote = ''] = line.split(/\s+/);
    return wrap(
      `${local} ${remote}`,
      `  ${end} ${state.padEnd(10)} recv-q ${received} send-q ${queued}  `,
      ' '.repeat(22),
    );
  });
  if (sockets.length === 0) return [`  ${end} none`];
  return rest > 0 ? [...shown, `  ${end} … and ${rest} more`] : shown;
}

function counterLines(counters: View['counters']): string[] {
  return [
    '',
    'What netstat -s counts more than before:',
    ...(['client', 'server'] as const).flatMap((end) => {
      const moved = Object.entries(counters[end]).map(([name, by]) => `${name} +${by}`);
      return wrap(moved.join(', ') || 'nothing but traffic', `  ${end} `, ' '.repeat(9));
    }),
  ];
}

/** `ok    no-listener IPv4: made 7 times, reported no-listener 7`. */
export function rowLines(row: Row): string[] {
  const { scenario, family, times, verdict } = row;
  const mark = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' }[verdict];
  const made =
    verdict === 'skipped' ? '' : `made ${times === 1 ? 'once' : `${times} times`}, reported `;
  return wrap(`${scenario} IPv${family}: ${made}${told(row)}`, `${mark}  `, ' '.repeat(8));
}

/** What was reported, or why nothing was. */
export function told({ reported, unexplained, why, verdict }: Row): string {
  const causes = Object.entries(reported).map(([cause, count]) => `${cause} ${count}`);
  const rest = unexplained > 0 ? [`unexplained ${unexplained}`] : [];
  const parts = [...causes, ...rest].join(', ');
  if (verdict === 'skipped') return why ?? '';
  return [parts || 'nothing', why && `(${why})`].filter(Boolean).join(' ');
}

/** A table of how well each cause is told. */
export function scoreLines(scores: readonly Score[]): string[] {
  const width = Math.max(...scores.map(({ cause }) => cause.length), 5);
  const line = (cause: string, cells: string[]) =>
    `${cause.padEnd(width)} ${cells.map((cell) => cell.padStart(10)).join('')}`;
  return [
    line('cause', ['expected', 'reported', 'precision', 'recall']),
    ...scores.map(({ cause, expected, reported, precision, recall }) =>
      line(cause, [String(expected), String(reported), share(precision), share(recall)]),
    ),
  ];
}

/** Two digits, but 1.00 only where it is all of them. */
export function share(value: number | null): string {
  if (value === null) return '-';
  return (value < 1 ? Math.min(value, 0.99) : 1).toFixed(2);
}
