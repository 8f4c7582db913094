// SPDX-License-Identifier: Apache-2.0

import { familyOf } from '../tcp/address.ts';
import type { Asked, Engine } from './engine.ts';
import { rangeOf } from './wanted.ts';

export const QUERY_PATH = '/select/logsql/query';

/** Where a finding has addresses and ports: those of its newest connection, by either pair of names. */
const SIDES = ['network.local', 'network.peer', 'source', 'destination'];
const OWN = {
  addresses: SIDES.map((side) => `${side}.address`),
  ports: SIDES.map((side) => `${side}.port`),
};
/** And those of one of its keys. */
const KEYS = 'tcpwhy.connection.ids';
const NAMED = { addresses: ['one_address', 'other_address'], ports: ['one_port', 'other_port'] };
const END = (name: string) => String.raw`\[?(?P<${name}_address>[^ ]+?)\]?:(?P<${name}_port>\d+)`;

/** Of a row with one key of its finding: whether it is of what is asked for. A value stands in quotes. */
function ofOne({ addresses, ports }: typeof OWN, groups: Asked['filter']['groups']): string {
  const anyOf = (fields: string[], filter: string) =>
    `(${fields.map((field) => `${field}:${filter}`).join(' or ')})`;
  const alternatives = (targets: (typeof groups)[number]) =>
    targets.map((target) => {
      const range = rangeOf(target);
      const parts: string[] = [];
      if (range) {
        const is = `ipv${familyOf(range.low)}_range`;
        parts.push(anyOf(addresses, `${is}(${quoted(range.low)}, ${quoted(range.high)})`));
      }
      if (target.port !== null) parts.push(anyOf(ports, `=${quoted(target.port)}`));
      return `(${parts.join(' ')})`;
    });
  return `(${groups.map((targets) => `(${alternatives(targets).join(' or ')})`).join(' ')})`;
}

const quoted = (value: string | number) => JSON.stringify(String(value));

/** What lets through only findings that are asked for, while all that was told of each stands in `last`. */
function narrowed({ filter: { groups, netns }, causes }: Asked): string {
  const plain = [
    ...(netns === null ? [] : [`tcpwhy.netns:=${quoted(netns)}`]),
    ...(causes ? [`tcpwhy.cause:in(${[...causes].map(quoted).join(', ')})`] : []),
  ];
  const connections =
    groups.length === 0
      ? []
      : [
          `| unroll by (${KEYS})`,
          `| extract_regexp ${quoted(`^${END('one')} ${END('other')}$`)} from ${KEYS}`,
          `| filter ${ofOne(OWN, groups)} or ${ofOne(NAMED, groups)}`,
        ];
  const all = [...(plain.length > 0 ? [`| filter ${plain.join(' ')}`] : []), ...connections];
  if (all.length === 0) return '';
  const needed = ['tcpwhy.netns', 'tcpwhy.cause', KEYS, ...OWN.addresses, ...OWN.ports];
  return `| unpack_json from last fields (${needed.join(', ')})
${all.join('\n')}
| uniq by (tcpwhy.finding.id, last)
`;
}

/** What is told of each finding last, the weightiest first. */
const findings = (asked: Asked) => `tcpwhy.finding.id:*
| stats by (tcpwhy.finding.id) row_max(_time) as last
${narrowed(asked)}| unpack_json from last
| delete last, _stream, _stream_id
| filter tcpwhy.count:>0
| format if (tcpwhy.severity:=error) "0" as tcpwhy.rank
| format if (tcpwhy.severity:=warning) "1" as tcpwhy.rank
| format if (tcpwhy.severity:=info) "2" as tcpwhy.rank
| sort by (tcpwhy.rank, tcpwhy.count desc, tcpwhy.finding.id) limit ${asked.most}`;

const growth = (asked: Asked) => `tcpwhy.finding.id:in(${findings(asked)}
    | fields tcpwhy.finding.id)
| stats by (tcpwhy.finding.id, _time:${asked.width_s}s) row_max(_time, _time, tcpwhy.count) as last
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
    return { findings: query(findings(asked)), growth: query(growth(asked)) };
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
