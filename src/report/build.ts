// SPDX-License-Identifier: Apache-2.0

import type { Cause } from '../causes/define.ts';
import { notObservable } from '../causes/observable.ts';
import type { OpenFinding } from '../diagnose/open-finding.ts';
import { timelineOf } from './buckets.ts';
import { choose } from './choose.ts';
import { compareClocks } from './clocks.ts';
import type { HostCollection } from './collect.ts';
import { connectionOf } from './connection.ts';
import { counterRows } from './counters.ts';
import { hostNames } from './hosts.ts';
import { ladderOf } from './ladder.ts';
import type { CauseRow, ClockNote, FindingReport, HostReport, Report } from './model.ts';
import { SteadyClock } from './steady.ts';
import { TopCounts } from './top-counts.ts';
import { Translations } from './translated.ts';
import { Watched } from './watch.ts';

/** How much a report shows, so that its size is bounded. */
export interface Limits {
  full: number;
  rows: number;
  ends: number;
}

export const LIMITS: Limits = { full: 40, rows: 1000, ends: 15 };

interface Chosen {
  host: number;
  finding: OpenFinding['finding'];
  open: OpenFinding;
  /** What is drawn of it. */
  connections: Set<string>;
}

/** What all hosts' recordings were read into, on its way to a report. */
export class Draft {
  readonly clocks: ClockNote[];
  /** To be filled by reading the recordings once more. */
  readonly watched: Watched;
  readonly #hosts: readonly HostCollection[];
  /** How each host is called. */
  readonly names: readonly string[];
  readonly #translations: Translations;
  readonly #chosen: Chosen[];
  readonly #rest: { host: number; finding: OpenFinding['finding'] }[];
  readonly #limits: Limits;

  constructor(hosts: readonly HostCollection[], limits: Limits = LIMITS) {
    this.#hosts = hosts;
    this.#limits = limits;
    this.names = hostNames(hosts.map(({ files }) => files));
    this.#translations = new Translations(hosts);
    this.clocks = compareClocks(
      hosts.map(({ segments }, at) => ({ name: this.names[at] ?? '', segments })),
      this.#translations,
    );
    const rows = hosts.flatMap(({ findings }, host) =>
      [...findings.values()].map((open) => {
        return { host, open, finding: this.#onClock(open.finding, host) };
      }),
    );
    const { chosen, rest } = choose(rows, limits.full);
    this.#chosen = chosen.map((row) => ({ ...row, connections: this.#related(row.open) }));
    this.#rest = rest;
    this.watched = new Watched(this.#chosen.flatMap(({ connections }) => [...connections]));
  }

  /** Once `watched` is filled. */
  report(about: { version: string; anonymized: boolean; causes: readonly Cause[] }): Report {
    const { version, anonymized } = about;
    const hosts = this.#hosts.map((host, at) => this.#host(host, at, about.causes));
    const start_ns = Math.min(...hosts.map((host) => host.start_ns));
    const end_ns = Math.max(...hosts.map((host) => host.end_ns));
    const findings = this.#chosen.map((row, at) => this.#finding(row, at));
    const causes = this.#causes();
    const onAxis = this.#hosts.map(({ buckets }, at) => ({
      buckets,
      onReport: (steady_ns: number) => this.onReport(at, steady_ns),
    }));
    const rest = this.#rest.slice(0, this.#limits.rows);
    return {
      ...{ version, anonymized, told: null, start_ns, end_ns, hosts, causes, findings },
      timeline: timelineOf(
        onAxis,
        causes.map(({ id }) => id),
        start_ns,
        end_ns,
      ),
      rest: rest.map(({ host, finding }, at) => ({
        number: findings.length + at + 1,
        host: this.names[host] ?? '',
        finding,
      })),
      omitted: this.#rest.length - rest.length,
      talkers: this.#top(({ talkers }) => talkers),
      services: this.#top(({ services }) => services),
    };
  }

  /** What the report's clock showed at a time of the host's steady one: that of the host it is compared with. */
  onReport(host: number, steady_ns: number): number {
    return this.#clockOf(host).shown(steady_ns + this.#correction(host));
  }

  #correction(host: number): number {
    return this.clocks[host]?.correction_ns ?? 0;
  }

  /** Its own, or that of the first in the row of those with which it was compared. */
  #clockOf(host: number): SteadyClock {
    const other = this.names.indexOf(this.clocks[host]?.with ?? '');
    return other >= 0 ? this.#clockOf(other) : (this.#hosts[host]?.clock ?? new SteadyClock());
  }

  #span(at: number): { start_ns: number; end_ns: number } {
    const { start_ns = 0, end_ns = 0 } = this.#hosts[at] ?? {};
    const correction_ns = this.#correction(at);
    return this.#clockOf(at).span(start_ns + correction_ns, end_ns + correction_ns);
  }

  #onClock<Timed extends { first_ns: number; last_ns: number }>(timed: Timed, host: number): Timed {
    const ends = [timed.first_ns, timed.last_ns].map((end_ns) => this.onReport(host, end_ns));
    return { ...timed, first_ns: Math.min(...ends), last_ns: Math.max(...ends) };
  }

  #finding({ host, open, finding, connections }: Chosen, at: number): FindingReport {
    const { steps, skipped } = this.watched.of(connections);
    const unsure_ns = Math.max(...this.clocks.map(({ uncertainty_ns }) => uncertainty_ns ?? 1e9));
    const [names, { owners }] = [this.names, this.watched];
    return {
      number: at + 1,
      host: names[host] ?? '',
      finding,
      flows: [...open.flows.values()].reverse().map(({ text, count }) => ({ text, count })),
      ladder: ladderOf(steps, skipped, finding.last_ns, names, owners, unsure_ns),
      elsewhere: this.#elsewhere(at),
      translated: this.#translated(open, host),
    };
  }

  /** Its own connections, and those that are the same behind a translation, on this host or on another. */
  #related(open: OpenFinding): Set<string> {
    const own = ownConnections(open);
    const others = own.flatMap((connection) => this.#translations.of(connection));
    return new Set([...own, ...others.map(({ connection }) => connection)]);
  }

  /** Its ends as other hosts call them. */
  #translated(open: OpenFinding, own_host: number): FindingReport['translated'] {
    const rows = ownConnections(open).flatMap((own) => this.#translations.of(own));
    const others = rows.filter(({ host }) => host !== own_host);
    const told = others.flatMap(({ host, here, there }) =>
      here.flatMap((end, at) => {
        const other = there[at];
        return other === undefined || other === end
          ? []
          : [{ here: end, there: other, hosts: [this.names[host] ?? ''] }];
      }),
    );
    const hosts = new Map<string, (typeof told)[number]>();
    for (const one of told) {
      const name = `${one.here} ${one.there}`;
      const known = hosts.get(name);
      if (!known) hosts.set(name, one);
      else if (!known.hosts.includes(one.hosts[0] ?? '')) known.hosts.push(...one.hosts);
    }
    return [...hosts.values()];
  }

  /** Findings of other hosts that have a connection in common with this one. */
  #elsewhere(at: number): number[] {
    const own = this.#chosen[at];
    if (!own || this.#hosts.length < 2) return [];
    const mine = allConnections(own);
    return this.#chosen.flatMap((other, number) => {
      if (other.host === own.host) return [];
      return allConnections(other).some((connection) => mine.includes(connection))
        ? [number + 1]
        : [];
    });
  }

  #causes(): CauseRow[] {
    const rows = new Map<string, CauseRow>();
    for (const { host, finding } of [...this.#chosen, ...this.#rest]) {
      const { cause: id, title, severity, count } = finding;
      const name = this.names[host] ?? '';
      const row = rows.get(id) ?? { id, title, severity, count: 0, findings: 0, hosts: [] };
      rows.set(id, row);
      row.count += count;
      row.findings++;
      if (!row.hosts.includes(name)) row.hosts.push(name);
    }
    // The first of each cause is its weightiest, so they come in the order of weight.
    return [...rows.values()];
  }

  #top(of: (host: HostCollection) => TopCounts) {
    const all = new TopCounts();
    for (const host of this.#hosts) {
      for (const { text, causes } of of(host).top(this.#limits.rows)) {
        for (const { id, count } of causes) all.add(text, id, count);
      }
    }
    return all.top(this.#limits.ends);
  }

  #host(host: HostCollection, at: number, causes: readonly Cause[]): HostReport {
    const [first] = host.files;
    if (!first) throw new Error('a host without a recording');
    const { kernel, tier, tcpwhy_version, filters, netns, hooks, sysctls } = first.header;
    const isWatched = hooks.length > 0;
    return {
      ...{ kernel, tier, filters, netns, hooks },
      name: this.names[at] ?? '',
      files: host.files.map(({ name }) => name),
      version: tcpwhy_version,
      ...this.#span(at),
      ended: host.footer?.end ?? null,
      events: host.events,
      unexplained: host.unexplained,
      benign: host.benign,
      losses: [...host.losses].map(([name, loss]) => ({ name, ...loss })),
      // Of packets, counters and logs the page says that they prove what they prove.
      not_observable: (isWatched ? notObservable(first.header, causes) : []).map(
        ({ id, title }) => ({ id, title }),
      ),
      sysctls: Object.entries(sysctls)
        .map(([name, value]) => ({ name: name.replaceAll('/', '.'), value }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
      counters: counterRows(first.header.counters, host.footer?.counters ?? null),
      clock: this.clocks[at] ?? {
        ...{ basis: 'none', correction_ns: 0, uncertainty_ns: null, segments: 0, with: null },
      },
    };
  }
}

/** Connections of a finding that other findings may be about too. */
function allConnections({ connections, open }: Chosen): string[] {
  const flows = [...open.flows.values()].filter(({ flow }) => flow.dport !== 0);
  return [...connections, ...flows.map(({ flow }) => connectionOf(flow))];
}

/** The connections of a finding's newest event: a listener's own flow has no other end. */
function ownConnections({ connections }: OpenFinding): string[] {
  return connections.filter(({ dport }) => dport !== 0).map(connectionOf);
}
