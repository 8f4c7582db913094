// SPDX-License-Identifier: Apache-2.0

import { logRecordOf, type Origin, recordId } from '../../src/agent/log-record.ts';
import type { LogRecord } from '../../src/agent/otlp.ts';
import { Resources } from '../../src/agent/resource.ts';
import { CAUSES } from '../../src/causes/registry.gen.ts';
import { RecordedStream } from '../../src/record/read.ts';
import { Draft } from '../../src/report/build.ts';
import { HostCollection } from '../../src/report/collect.ts';
import { connectionKeys } from '../../src/report/connection.ts';
import type { Report } from '../../src/report/model.ts';

/** A log record as collectors have it: all attributes are text. */
export interface Row {
  time_ns: number;
  body: string;
  severity: string;
  resource: Record<string, string>;
  attributes: Record<string, string>;
}

interface Host {
  host: string;
  origin: Origin;
  resources: Resources;
}

/** What several hosts recorded: as records of a log, as the agent makes them, and as a report has it. */
export async function recorded(files: { host: string; path: string }[]) {
  const collections: HostCollection[] = [];
  const hosts: Host[] = [];
  for (const { host, path } of files) {
    const collection = new HostCollection(({ cause }) => cause !== 'benign');
    const recording = await RecordedStream.open(path);
    const pipeline = collection.open(path, { ...recording.header, host }, CAUSES, (event) => event);
    for await (const { messages } of recording.pieces()) pipeline.push(messages);
    await recording.close();
    collection.finish(pipeline);
    collections.push(collection);
    const resources = new Resources(host, {}, `id-of-${host}`);
    hosts.push({ host, origin: recording.header, resources });
  }
  const report = new Draft(collections, { full: 1000, rows: 0, ends: 0 }).report({
    ...{ version: '', anonymized: false, causes: CAUSES },
  });
  const records = collections.flatMap(({ segments, findings }, at) => {
    const numbers = segments.handshakes.firstNumbers();
    const { origin, resources } = hosts[at] as Host;
    return [...findings.values()].map((open) => {
      const { finding, sides } = open;
      const beside = { sides, keys: connectionKeys(open, numbers), time_ns: finding.last_ns };
      return logRecordOf(finding, beside, origin, resources, finding.last_ns);
    });
  });
  return { records, rows: records.map(rowOf), joined: joinedIn(report, hosts), report };
}

/** What is no text as JSON, as exporters write it. */
function rowOf({ hrTime, body, severityText, resource, attributes }: LogRecord): Row {
  const [seconds, nanoseconds] = hrTime;
  return {
    time_ns: seconds * 1e9 + nanoseconds,
    body: String(body),
    severity: severityText ?? '',
    resource: texts(resource.attributes),
    attributes: texts(attributes),
  };
}

export function texts(attributes: object): Record<string, string> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  );
}

/** Each pair of findings of two hosts that the report says are about the same connections, in both orders. */
function joinedIn({ findings }: Report, hosts: readonly Host[]): string[] {
  const idOf = ({ host, finding }: Report['findings'][number]) => {
    const one = hosts.find((known) => known.host === host);
    return one ? recordId(one.resources.host_id, one.origin, finding.id) : '?';
  };
  return findings
    .flatMap((finding) =>
      finding.elsewhere.map((number) => {
        const other = findings[number - 1];
        return `${idOf(finding)} = ${other ? idOf(other) : '?'}`;
      }),
    )
    .sort();
}
