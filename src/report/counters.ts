// SPDX-License-Identifier: Apache-2.0

import type { CounterRow } from './model.ts';

/** What people look at first; shown where they are not zero. */
const LEADING = [
  'TcpExt.ListenDrops',
  'TcpExt.ListenOverflows',
  'TcpExt.TCPReqQFullDrop',
  'TcpExt.TCPReqQFullDoCookies',
  'TcpExt.PAWSPassive',
  'TcpExt.PAWSActive',
  'TcpExt.PAWSEstab',
  'TcpExt.TSEcrRejected',
  'TcpExt.EmbryonicRsts',
  'TcpExt.TCPBacklogDrop',
  'TcpExt.TCPRcvQDrop',
  'TcpExt.TCPMemoryPressures',
  'TcpExt.TCPTimeouts',
  'TcpExt.TCPAbortOnData',
  'TcpExt.TCPAbortOnClose',
  'TcpExt.TCPAbortOnTimeout',
  'TcpExt.IPReversePathFilter',
  'Tcp.AttemptFails',
  'Tcp.EstabResets',
  'Tcp.RetransSegs',
  'Tcp.InErrs',
  'Tcp.OutRsts',
  'Tcp.CurrEstab',
];

/** The leading ones, and every other of TCP that moved. */
export function counterRows(
  start: Record<string, number>,
  end: Record<string, number> | null,
): CounterRow[] {
  const rows = Object.entries(start)
    .filter(([name]) => /^Tcp(Ext)?\./.test(name))
    .map(([name, before]) => ({
      name,
      start: before,
      end: end?.[name] ?? null,
      leading: LEADING.includes(name),
    }));
  const rank = ({ name }: CounterRow) => {
    const at = LEADING.indexOf(name);
    return at < 0 ? LEADING.length : at;
  };
  return rows
    .filter((row) =>
      row.leading ? row.start > 0 || (row.end ?? 0) > 0 : row.end !== null && row.end !== row.start,
    )
    .sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
}
