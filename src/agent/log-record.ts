// SPDX-License-Identifier: Apache-2.0

import { createHash } from 'node:crypto';
import type { EvidenceValue, Severity } from '../causes/define.ts';
import type { Finding } from '../diagnose/finding.ts';
import type { End, Sides } from '../diagnose/sides.ts';
import { type ContainerNames, NOWHERE, type Place } from '../known/container.ts';
import { VERSION } from '../version.ts';
import type { LogRecord } from './otlp.ts';
import type { Resources } from './resource.ts';

/** Which recording a finding is of: with its key that is the same wherever it is told from. */
export interface Origin {
  /** As in the header. */
  run: string;
  part: number;
}

type Value = string | number | boolean | string[];

const EVENT_NAME = 'tcpwhy.finding';
const SEVERITY_NUMBERS: Record<Severity, number> = { info: 9, warning: 13, error: 17 };
export const SCOPE = { name: 'tcpwhy', version: VERSION };

/** What is known of a finding beside it. */
export interface Beside {
  /** Of its newest connection. */
  sides: Sides | null;
  /** What its connections are known by at both ends, the newest first: connectionKeys(). */
  keys: readonly string[];
  /** Of the record: later than that of each one before of the same finding. */
  time_ns: number;
}

/** A finding as it stands, for OTLP. `now_ns`: when it was told. */
export function logRecordOf(
  finding: Finding,
  beside: Beside,
  origin: Origin,
  resources: Resources,
  now_ns: number,
): LogRecord {
  return {
    hrTime: hrTime(beside.time_ns),
    hrTimeObserved: hrTime(now_ns),
    severityNumber: SEVERITY_NUMBERS[finding.severity],
    severityText: finding.severity.toUpperCase(),
    body: finding.summary,
    eventName: EVENT_NAME,
    resource: resources.of(placeOf(finding, beside.sides)),
    instrumentationScope: SCOPE,
    attributes: attributesOf(finding, beside, origin, resources.host_id),
    droppedAttributesCount: 0,
  };
}

/** The same from whichever process and however often it is told: receivers may drop what they have. */
export function recordId(host_id: string, { run, part }: Origin, finding_id: string): string {
  const of = JSON.stringify([host_id, run, part, finding_id]);
  return createHash('sha256').update(of).digest('hex').slice(0, 32);
}

function attributesOf(
  finding: Finding,
  { sides, keys }: Beside,
  origin: Origin,
  host_id: string,
): Record<string, Value> {
  const { flow, process, because, many } = finding;
  const connection = keys.find((key) => !key.startsWith('isn '));
  return {
    'tcpwhy.finding.id': recordId(host_id, origin, finding.id),
    'tcpwhy.cause': finding.cause,
    'tcpwhy.severity': finding.severity,
    'tcpwhy.basis': finding.basis,
    'tcpwhy.count': finding.count,
    'tcpwhy.first_time': new Date(finding.first_ns / 1e6).toISOString(),
    'tcpwhy.subject': finding.subject,
    'tcpwhy.where': finding.where,
    'tcpwhy.title': finding.title,
    'tcpwhy.advice': finding.advice,
    ...flattened('tcpwhy.evidence', finding.evidence),
    ...(because && { 'tcpwhy.because.cause': because.cause }),
    ...(because && { 'tcpwhy.because.where': because.where }),
    ...(many && flattened('tcpwhy.many', { ...many })),
    'tcpwhy.netns': flow.netns,
    'tcpwhy.run': origin.run,
    ...(connection !== undefined && { 'tcpwhy.connection.id': connection }),
    'tcpwhy.connection.ids': [...keys],
    ...endsOf(flow, sides),
    'network.type': flow.family === 4 ? 'ipv4' : 'ipv6',
    'network.transport': 'tcp',
    'error.type': finding.cause,
    ...(process && process.pid > 0 && { 'process.pid': process.pid }),
    ...(process && process.comm !== '' && { 'process.executable.name': process.comm }),
  };
}

/** Where its process is; else where the end is that is here. */
function placeOf({ process, ends = [] }: Finding, sides: Sides | null): Place & ContainerNames {
  const local = ends.filter(
    ({ addr, port }) => addr === sides?.local?.address && port === sides.local.port,
  );
  if (!process) return local[0] ?? NOWHERE;
  const own = ends.find(({ pid }) => pid === process.pid);
  return own ?? local.find(({ pid }) => pid === null) ?? NOWHERE;
}

/** Where neither end is known to be here, by the names that tell only the direction. */
function endsOf(flow: Finding['flow'], sides: Sides | null): Record<string, Value> {
  if (!sides?.local)
    return {
      'source.address': flow.saddr,
      'source.port': flow.sport,
      'destination.address': flow.daddr,
      'destination.port': flow.dport,
    };
  const isn = (name: string, end: End) => (end.isn === null ? {} : { [name]: end.isn });
  const { local, peer } = sides;
  return {
    'network.local.address': local.address,
    'network.local.port': local.port,
    'network.peer.address': peer.address,
    'network.peer.port': peer.port,
    ...isn('tcpwhy.isn.local', local),
    ...isn('tcpwhy.isn.peer', peer),
  };
}

/** Each value by its own name, so that engines can ask for it; what is no plain value as JSON. */
function flattened(prefix: string, values: { [name: string]: EvidenceValue }) {
  const flat: Record<string, Value> = {};
  for (const [name, value] of Object.entries(values)) {
    if (value === null) continue;
    flat[`${prefix}.${name}`] = typeof value === 'object' ? JSON.stringify(value) : value;
  }
  return flat;
}

/** As OpenTelemetry has times. */
export function hrTime(time_ns: number): [number, number] {
  const seconds = Math.floor(time_ns / 1e9);
  return [seconds, Math.max(0, Math.round(time_ns - seconds * 1e9))];
}
