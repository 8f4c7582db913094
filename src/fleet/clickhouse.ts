// SPDX-License-Identifier: Apache-2.0

import type { Asked, Engine } from './engine.ts';
import type { Query } from './http.ts';
import { rangeOf } from './wanted.ts';

/** What a query is about, beside its text: ClickHouse reads each as its type, and never as a part of the query. */
class Parameters {
  readonly values: Record<string, string> = {};

  /** The word for it in a query. */
  add(type: string, value: string | number | bigint): string {
    const name = `p${Object.keys(this.values).length}`;
    this.values[name] = escaped(String(value));
    return `{${name}:${type}}`;
  }
}

/** As its TabSeparated has a text. */
const escaped = (text: string) =>
  text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n');

/** Addresses and ports of what a finding names: its newest connection, and those of its keys. */
const CONNECTIONS = `arrayPushFront(
    arrayMap(
        ends -> (
            arrayMap(end -> extract(end, '^\\\\[?(.+?)\\\\]?:\\\\d+$'), ends),
            arrayMap(end -> toUInt16OrZero(extract(end, ':(\\\\d+)$')), ends)),
        arrayMap(key -> splitByChar(' ', key), arrayFilter(key -> NOT startsWith(key, 'isn '), connection_keys))),
    (addresses, ports))`;

function conditions(
  { filter: { groups, netns }, causes }: Asked,
  parameters: Parameters,
): string[] {
  const add = (type: string, value: string | number) => parameters.add(type, value);
  const anyOf = (targets: (typeof groups)[number]) =>
    targets
      .map((target) => {
        const range = rangeOf(target);
        const both = [
          range &&
            `arrayExists(address -> ifNull(toIPv6OrNull(address) BETWEEN toIPv6(${add('String', range.low)}) AND toIPv6(${add('String', range.high)}), 0), at.1)`,
          target.port !== null && `has(at.2, ${add('UInt16', target.port)})`,
        ];
        return both.filter((one) => one).join(' AND ');
      })
      .join(' OR ');
  const all = groups.map((targets) => `(${anyOf(targets)})`);
  const cause = [...(causes ?? [])].map((one) => add('String', one));
  return [
    ...(all.length > 0 ? [`arrayExists(at -> ${all.join(' AND ')}, ${CONNECTIONS})`] : []),
    ...(netns === null ? [] : [`netns = ${add('UInt32', netns)}`]),
    ...(causes ? [`cause IN (${cause.join(', ')})`] : []),
  ];
}

/**
 * Ids and times of what is asked for, by the table that has each finding once; the attributes are those of the log
 * record itself, which has all.
 */
const ids = (where: readonly string[]) => `
SELECT finding_id, seen FROM tcpwhy_findings FINAL
WHERE ${['count > 0', 'seen >= fromUnixTimestamp64Nano({since:Int64})', ...where].join('\n    AND ')}
ORDER BY severity = 'error' DESC, severity = 'warning' DESC, count DESC, finding_id
LIMIT {most:UInt32}`;

const findings = (asked: string) => `
SELECT toUnixTimestamp64Nano(Timestamp) AS time_ns, Body, ResourceAttributes, LogAttributes
FROM otel_logs
WHERE EventName = 'tcpwhy.finding' AND Timestamp >= fromUnixTimestamp64Nano({since:Int64})
    AND (LogAttributes['tcpwhy.finding.id'], Timestamp) IN (${asked})
LIMIT 1 BY LogAttributes['tcpwhy.finding.id']
FORMAT JSONEachRow`;

const growth = (asked: string) => `
SELECT LogAttributes['tcpwhy.finding.id'] AS id, toUnixTimestamp64Nano(max(Timestamp)) AS time_ns,
    argMax(toUInt64OrZero(LogAttributes['tcpwhy.count']), Timestamp) AS count
FROM otel_logs
WHERE EventName = 'tcpwhy.finding' AND Timestamp >= fromUnixTimestamp64Nano({since:Int64})
    AND id IN (SELECT finding_id FROM (${asked}))
GROUP BY id, intDiv(toUnixTimestamp(Timestamp), {width:UInt32})
FORMAT JSONEachRow`;

/** By its HTTP interface, with the schema of tools/fleet/clickhouse. */
export const CLICKHOUSE: Engine = {
  queries(base, asked) {
    const parameters = new Parameters();
    const wanted = ids(conditions(asked, parameters));
    const { since_ns, most, width_s } = asked;
    const since = BigInt(Math.round(since_ns));
    const all = { ...parameters.values, since, most, width: width_s };
    return {
      findings: query(base, findings(wanted), all),
      growth: query(base, growth(wanted), all),
    };
  },
  headers: ({ CLICKHOUSE_USER: user, CLICKHOUSE_PASSWORD: key }) => ({
    ...(user && { 'x-clickhouse-user': user }),
    ...(key && { 'x-clickhouse-key': key }),
  }),
  stored: ({ time_ns, Body, ResourceAttributes, LogAttributes }) => ({
    time_ns: Number(time_ns),
    body: String(Body),
    resource: (ResourceAttributes ?? {}) as Record<string, string>,
    attributes: (LogAttributes ?? {}) as Record<string, string>,
  }),
  grown: ({ id, time_ns, count }) => ({
    ...{ id: String(id), time_ns: Number(time_ns), count: Number(count) },
  }),
};

function query(base: URL, body: string, parameters: object): Query {
  const url = new URL(base);
  for (const [name, value] of Object.entries(parameters))
    url.searchParams.set(`param_${name}`, String(value));
  // What fails then fails before anything is sent.
  url.searchParams.set('wait_end_of_query', '1');
  return { url, body };
}
