// SPDX-License-Identifier: Apache-2.0

import { CAUSES } from '../../src/causes/registry.gen.ts';
import type { OpenFinding } from '../../src/diagnose/open-finding.ts';
import { RecordedStream } from '../../src/record/read.ts';
import { Draft } from '../../src/report/build.ts';
import { HostCollection } from '../../src/report/collect.ts';
import { connectionKeys, firstNumbers } from '../../src/report/connection-id.ts';
import type { Report } from '../../src/report/model.ts';

/** A log record as collectors have it: all attributes are text. */
export interface Row {
  time_ns: number;
  body: string;
  severity: string;
  resource: Record<string, string>;
  attributes: Record<string, string>;
}

/** What several hosts recorded: as records of a log, and as a report has it. */
export async function recorded(files: { host: string; path: string }[]) {
  const collections: HostCollection[] = [];
  for (const { host, path } of files) {
    const collection = new HostCollection(({ cause }) => cause !== 'benign');
    const recording = await RecordedStream.open(path);
    const pipeline = collection.open(path, { ...recording.header, host }, CAUSES, (event) => event);
    for await (const { messages } of recording.pieces()) pipeline.push(messages);
    await recording.close();
    collection.finish(pipeline);
    collections.push(collection);
  }
  const report = new Draft(collections, { full: 1000, rows: 0, ends: 0 }).report({
    ...{ version: '', anonymized: false, causes: CAUSES },
  });
  const rows = collections.flatMap((collection, at) => {
    const numbers = firstNumbers(collection.segments);
    return [...collection.findings.values()].map((open) =>
      rowOf(open, files[at]?.host ?? '', connectionKeys(open, numbers)),
    );
  });
  return { rows, joined: joinedIn(report), report };
}

export const recordId = (host: string, id: string) => `${host} ${id}`;

function rowOf({ finding }: OpenFinding, host: string, keys: string[]): Row {
  const { flow, process } = finding;
  return {
    time_ns: finding.last_ns,
    body: finding.summary,
    severity: finding.severity.toUpperCase(),
    resource: { 'host.id': `id-of-${host}`, 'host.name': host, 'service.name': 'tcpwhy' },
    attributes: {
      'tcpwhy.finding.id': recordId(host, finding.id),
      'tcpwhy.cause': finding.cause,
      'tcpwhy.severity': finding.severity,
      'tcpwhy.basis': finding.basis,
      'tcpwhy.count': String(finding.count),
      'tcpwhy.first_time': new Date(finding.first_ns / 1e6).toISOString(),
      'tcpwhy.where': finding.where,
      'tcpwhy.advice': JSON.stringify(finding.advice),
      'tcpwhy.netns': String(flow.netns),
      'tcpwhy.connection.id': keys[0] ?? '',
      'tcpwhy.connection.ids': JSON.stringify(keys),
      ...Object.fromEntries(
        Object.entries(finding.evidence).map(([name, value]) => [
          `tcpwhy.evidence.${name}`,
          typeof value === 'string' ? value : JSON.stringify(value),
        ]),
      ),
      ...(finding.because && { 'tcpwhy.because.cause': finding.because.cause }),
      'network.type': flow.family === 4 ? 'ipv4' : 'ipv6',
      'error.type': finding.cause,
      ...(process && {
        'process.pid': String(process.pid),
        'process.executable.name': process.comm,
      }),
    },
  };
}

/** Each pair of findings of two hosts that the report says are about the same connections, in both orders. */
function joinedIn({ findings }: Report): string[] {
  return findings
    .flatMap(({ host, finding, elsewhere }) =>
      elsewhere.map((number) => {
        const other = findings[number - 1];
        return `${recordId(host, finding.id)} = ${other ? recordId(other.host, other.finding.id) : '?'}`;
      }),
    )
    .sort();
}
