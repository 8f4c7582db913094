// SPDX-License-Identifier: Apache-2.0

import type { Asked, Engine } from './engine.ts';

/**
 * Ids and times of what is asked for, by the table that has each finding once; the attributes are those of the log
 * record itself, which has all.
 */
const ASKED = `
SELECT finding_id, seen FROM tcpwhy_findings FINAL
WHERE count > 0 AND seen >= fromUnixTimestamp64Nano({since:Int64})
ORDER BY severity = 'error' DESC, severity = 'warning' DESC, count DESC, finding_id
LIMIT {most:UInt32}`;

const FINDINGS = `
SELECT toUnixTimestamp64Nano(Timestamp) AS time_ns, Body, ResourceAttributes, LogAttributes
FROM otel_logs
WHERE EventName = 'tcpwhy.finding' AND Timestamp >= fromUnixTimestamp64Nano({since:Int64})
    AND (LogAttributes['tcpwhy.finding.id'], Timestamp) IN (${ASKED})
LIMIT 1 BY LogAttributes['tcpwhy.finding.id']
FORMAT JSONEachRow`;

const GROWTH = `
SELECT LogAttributes['tcpwhy.finding.id'] AS id, toUnixTimestamp64Nano(max(Timestamp)) AS time_ns,
    argMax(toUInt64OrZero(LogAttributes['tcpwhy.count']), Timestamp) AS count
FROM otel_logs
WHERE EventName = 'tcpwhy.finding' AND Timestamp >= fromUnixTimestamp64Nano({since:Int64})
    AND id IN (SELECT finding_id FROM (${ASKED}))
GROUP BY id, intDiv(toUnixTimestamp(Timestamp), {width:UInt32})
FORMAT JSONEachRow`;

/** By its HTTP interface, with the schema of tools/fleet/clickhouse. */
export const CLICKHOUSE: Engine = {
  queries(base, asked) {
    return { findings: query(base, FINDINGS, asked), growth: query(base, GROWTH, asked) };
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

function query(base: URL, body: string, { since_ns, most, width_s }: Asked) {
  const url = new URL(base);
  const parameters = { since: BigInt(Math.round(since_ns)), most, width: width_s };
  for (const [name, value] of Object.entries(parameters))
    url.searchParams.set(`param_${name}`, String(value));
  // What fails then fails before anything is sent.
  url.searchParams.set('wait_end_of_query', '1');
  return { url, body };
}
