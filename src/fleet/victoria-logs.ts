// SPDX-License-Identifier: Apache-2.0

import type { Asked, Engine } from './engine.ts';

export const QUERY_PATH = '/select/logsql/query';

/** What is told of each finding last, the weightiest first. */
const findings = (most: number) => `tcpwhy.finding.id:*
| stats by (tcpwhy.finding.id) row_max(_time) as last
| unpack_json from last
| delete last, _stream, _stream_id
| filter tcpwhy.count:>0
| format if (tcpwhy.severity:=error) "0" as tcpwhy.rank
| format if (tcpwhy.severity:=warning) "1" as tcpwhy.rank
| format if (tcpwhy.severity:=info) "2" as tcpwhy.rank
| sort by (tcpwhy.rank, tcpwhy.count desc, tcpwhy.finding.id) limit ${most}`;

const growth = ({ most, width_s }: Asked) => `tcpwhy.finding.id:in(${findings(most)}
    | fields tcpwhy.finding.id)
| stats by (tcpwhy.finding.id, _time:${width_s}s) row_max(_time, _time, tcpwhy.count) as last
| unpack_json from last
| fields tcpwhy.finding.id, _time, tcpwhy.count`;

/** By its endpoint for LogsQL. */
export const VICTORIA_LOGS: Engine = {
  queries(base, asked) {
    const start = new Date(asked.since_ns / 1e6).toISOString();
    const query = (logsql: string) => ({
      url: base,
      body: new URLSearchParams({ query: logsql, start }),
    });
    return { findings: query(findings(asked.most)), growth: query(growth(asked)) };
  },
  headers: () => ({}),
  stored(row) {
    const { _time, _msg, ...attributes } = row as Record<string, string>;
    return {
      ...{ time_ns: nanoseconds(_time), body: _msg ?? '' },
      ...{ resource: attributes, attributes },
    };
  },
  grown: (row) => ({
    id: String(row['tcpwhy.finding.id']),
    time_ns: nanoseconds(String(row._time)),
    count: Number(row['tcpwhy.count']),
  }),
};

/** `2026-11-29T20:55:46.939000064Z`; Date knows no more than milliseconds. */
function nanoseconds(time = ''): number {
  const [seconds = '', fraction = ''] = time.replace(/Z$/, '').split('.');
  return Date.parse(`${seconds}Z`) * 1e6 + Number(fraction.slice(0, 9).padEnd(9, '0'));
}
