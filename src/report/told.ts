// SPDX-License-Identifier: Apache-2.0

import type { Finding } from '../diagnose/finding.ts';
import { Buckets, timelineOf } from './buckets.ts';
import { LIMITS } from './build.ts';
import { choose } from './choose.ts';
import type { CauseRow, FindingReport, Report, ToldHost } from './model.ts';
import { TopCounts } from './top-counts.ts';

/** A finding as the agent of its host told it last. */
export interface Told {
  host_id: string;
  /** Its name, or its id where it has none. */
  host: string;
  /** Of tcpwhy there. */
  version: string;
  /** Its id is that of its log records. */
  finding: Finding;
  /** What its connections are known by at both ends: connectionKeys(). */
  keys: readonly string[];
}

/** What a log record said of how often a finding was. */
export interface Grown {
  id: string;
  time_ns: number;
  count: number;
}

/** Ends are used again, and numbers come again: as tcpwhy_both_ends of tools/fleet/clickhouse has it. */
const SAME_CONNECTION_NS = 300e9;

/** A post-mortem of what agents told an engine, as far as that was read. Times are those of their hosts. */
export function reportOfTold(
  told: readonly Told[],
  growth: Iterable<Grown>,
  about: { version: string; from: string; since_ns: number; now_ns: number; incomplete: boolean },
): Report {
  const hosts = hostsOf(told);
  const names = [...hosts.values()].map(({ name }) => name);
  const host = new Map([...hosts.keys()].map((id, at) => [id, at]));
  const rows = told.map((one) => ({ ...one, host: host.get(hostKey(one)) ?? 0 }));
  const { chosen, rest } = choose(rows, LIMITS.full);
  const start_ns = told.reduce(
    (least, { finding }) => Math.min(least, finding.first_ns),
    about.since_ns,
  );
  const services = new TopCounts();
  for (const { finding } of told) services.add(finding.where, finding.cause, finding.count);
  const causes = causesOf([...chosen, ...rest], names);
  const shown = rest.slice(0, LIMITS.rows);
  return {
    version: about.version,
    anonymized: false,
    told: {
      ...{ from: about.from, since_ns: about.since_ns, incomplete: about.incomplete },
      hosts: [...hosts.values()],
    },
    start_ns,
    end_ns: about.now_ns,
    hosts: [],
    causes,
    timeline: timelineOf(
      [{ buckets: [grownIn(told, growth, start_ns)], onReport: (time_ns) => time_ns }],
      causes.map(({ id }) => id),
      start_ns,
      about.now_ns,
    ),
    findings: chosen.map(
      ({ host: at, finding, keys }, index): FindingReport => ({
        number: index + 1,
        host: names[at] ?? '',
        finding,
        flows: keys
          .filter((key) => !key.startsWith('isn '))
          .map((key) => ({ text: key.replace(' ', ' and '), count: 1 })),
        ladder: null,
        translated: [],
        elsewhere: chosen.flatMap((other, number) =>
          chosen[index] && sameConnection(chosen[index], other) ? [number + 1] : [],
        ),
      }),
    ),
    rest: shown.map(({ host: at, finding }, index) => ({
      number: chosen.length + index + 1,
      host: names[at] ?? '',
      finding,
    })),
    omitted: rest.length - shown.length,
    talkers: [],
    services: services.top(LIMITS.ends),
  };
}

function sameConnection(
  one: Pick<Told, 'finding' | 'keys'> & { host: number },
  other: typeof one,
): boolean {
  if (one.host === other.host) return false;
  if (Math.abs(one.finding.last_ns - other.finding.last_ns) > SAME_CONNECTION_NS) return false;
  return one.keys.some((key) => other.keys.includes(key));
}

/** Hosts made of one image may have one id: then their names tell them apart. */
const hostKey = ({ host_id, host }: Pick<Told, 'host_id' | 'host'>) => `${host_id} ${host}`;

/** By hostKey(); names are unique. */
function hostsOf(told: readonly Told[]): Map<string, ToldHost> {
  const hosts = new Map<string, ToldHost & { id: string }>();
  for (const one of told) {
    const { host_id: id, host: name, version, finding } = one;
    const known = hosts.get(hostKey(one)) ?? { id, name, version, findings: 0, count: 0 };
    known.findings++;
    known.count += finding.count;
    hosts.set(hostKey(one), known);
  }
  const often = new Map<string, number>();
  for (const { name } of hosts.values()) often.set(name, (often.get(name) ?? 0) + 1);
  return new Map(
    [...hosts].map(([key, { id, name, ...host }]) => [
      key,
      { ...host, name: (often.get(name) ?? 0) > 1 ? `${name} (${id})` : name },
    ]),
  );
}

function causesOf(rows: readonly { finding: Finding; host: number }[], names: readonly string[]) {
  const causes = new Map<string, CauseRow & { on: Set<string> }>();
  for (const { finding, host } of rows) {
    const { cause: id, title, severity, count } = finding;
    const row = causes.get(id) ?? {
      ...{ id, title, severity, count: 0, findings: 0, hosts: [] },
      on: new Set<string>(),
    };
    causes.set(id, row);
    row.count += count;
    row.findings++;
    row.on.add(names[host] ?? '');
  }
  return [...causes.values()].map(({ on, ...row }): CauseRow => ({ ...row, hosts: [...on] }));
}

/** What each log record added to the one before, at its time. */
function grownIn(told: readonly Told[], growth: Iterable<Grown>, start_ns: number): Buckets {
  const points = new Map(told.map(({ finding }) => [finding.id, [] as Grown[]]));
  for (const grown of growth) points.get(grown.id)?.push(grown);
  const buckets = new Buckets(start_ns);
  for (const { finding } of told) {
    const { id, cause, last_ns: time_ns, count } = finding;
    const before = (points.get(id) ?? []).filter((one) => one.time_ns < time_ns);
    let known = 0;
    for (const point of [...before.sort((a, b) => a.time_ns - b.time_ns), { time_ns, count }]) {
      if (point.count !== known) buckets.add(cause, point.time_ns, point.count - known);
      known = point.count;
    }
  }
  return buckets;
}
