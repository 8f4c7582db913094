// SPDX-License-Identifier: Apache-2.0

import type { Evidence, EvidenceValue } from '../causes/define.ts';
import { SEVERITIES } from '../causes/define.ts';
import type { Finding } from '../diagnose/finding.ts';
import type { ManyText } from '../diagnose/many.ts';
import type { Told } from '../report/told.ts';

/** A log record as an engine gives it back: whatever it was, each attribute is text. */
export interface StoredRecord {
  time_ns: number;
  body: string;
  resource: Readonly<Record<string, string>>;
  attributes: Readonly<Record<string, string>>;
}

/** What logRecordOf (src/agent/log-record.ts) told; null where it is no finding of an agent. */
export function toldOf({ time_ns, body, resource, attributes }: StoredRecord): Told | null {
  const text = (name: string) => String(attributes[name] ?? '');
  const count = Number(text('tcpwhy.count'));
  const severity = SEVERITIES.find((one) => one === text('tcpwhy.severity'));
  const first_ns = Date.parse(text('tcpwhy.first_time')) * 1e6;
  const [id, cause] = [text('tcpwhy.finding.id'), text('tcpwhy.cause')];
  if (id === '' || cause === '' || !severity) return null;
  if (!(count > 0) || !(time_ns > 0) || Number.isNaN(first_ns)) return null;
  const container = resource['container.id'] || text('container.id') || null;
  const finding: Finding = {
    ...{ id, cause, severity, count },
    because: text('tcpwhy.because.cause')
      ? { cause: text('tcpwhy.because.cause'), where: text('tcpwhy.because.where') }
      : null,
    ...manyOf(attributes),
    basis: text('tcpwhy.basis') === 'direct' ? 'direct' : 'inferred',
    title: text('tcpwhy.title'),
    summary: body,
    subject: text('tcpwhy.subject') as Finding['subject'],
    where: text('tcpwhy.where'),
    flow: flowOf(attributes),
    process: text('process.executable.name')
      ? { pid: numberOf(text('process.pid')), comm: text('process.executable.name'), container }
      : null,
    first_ns: Math.min(first_ns, time_ns),
    last_ns: time_ns,
    evidence: under('tcpwhy.evidence.', attributes),
    advice: texts(text('tcpwhy.advice')),
    events: [],
  };
  const host_id = resource['host.id'] ?? '';
  return {
    host_id,
    host: resource['host.name'] || host_id || 'a host without a name',
    version: resource['service.version'] ?? '',
    finding,
    keys: texts(text('tcpwhy.connection.ids')),
  };
}

function flowOf(attributes: StoredRecord['attributes']): Finding['flow'] {
  const isLocal = attributes['network.local.address'] !== undefined;
  const [from, to] = isLocal ? ['network.local', 'network.peer'] : ['source', 'destination'];
  return {
    family: attributes['network.type'] === 'ipv6' ? 6 : 4,
    saddr: attributes[`${from}.address`] ?? '',
    sport: numberOf(attributes[`${from}.port`]),
    daddr: attributes[`${to}.address`] ?? '',
    dport: numberOf(attributes[`${to}.port`]),
    netns: numberOf(attributes['tcpwhy.netns']),
  };
}

function manyOf(attributes: StoredRecord['attributes']): { many?: ManyText } {
  const many = under('tcpwhy.many.', attributes);
  return Object.keys(many).length > 0 ? { many: many as unknown as ManyText } : {};
}

function under(prefix: string, attributes: StoredRecord['attributes']): Evidence {
  return Object.fromEntries(
    Object.entries(attributes)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, text]) => [name.slice(prefix.length), evidenceOf(text)]),
  );
}

/** What was no text is as JSON writes it; a text that looks so reads the same. */
function evidenceOf(text: string): EvidenceValue {
  const value = parsed(text);
  return value !== null && JSON.stringify(value) === text ? value : text;
}

function parsed(text: string): EvidenceValue {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function texts(json: string): string[] {
  const list = parsed(json);
  return Array.isArray(list) ? list.filter((one) => typeof one === 'string') : [];
}

function numberOf(text = ''): number {
  return Number(text) || 0;
}
