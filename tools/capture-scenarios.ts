// SPDX-License-Identifier: Apache-2.0
//
// Usage, as root: node tools/capture-scenarios.ts [--write] [--keep FOLDER | --kept FOLDER] [SCENARIO…]
//
// Makes the failures of the lab happen while tcpdump runs at both ends, and compares what `tcpwhy explain`
// says of each capture with what was made to happen: a line a scenario; exit status 1 where anything
// else was named. With --write it writes docs/captures.md, or those rows of it anew. With --kept it makes nothing
// happen, and takes the captures that --keep has left: what is said now of the same packets.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Capture } from '../src/capture/capture.ts';
import { CAUSES } from '../src/causes/registry.gen.ts';
import { Pipeline } from '../src/diagnose/pipeline.ts';
import type { End } from '../src/lab/capture.ts';
import { lacks } from '../src/lab/conformance.ts';
import { Lab } from '../src/lab/lab.ts';
import type { Scenario } from '../src/lab/scenario.ts';
import { SCENARIOS } from '../src/lab/scenarios.ts';
import { Tcpdump } from '../test/software/tcpdump.ts';

const TIMES = 3;
const ENDS: readonly End[] = ['client', 'server'];
/** They name no cause. */
const SYMPTOMS: ReadonlySet<string> = new Set(
  CAUSES.filter(({ symptom }) => symptom).map(({ id }) => id),
);
/** Scenarios of nothing else: a symptom is all that there is. */
const TIME_OUTS: ReadonlySet<string> = new Set([
  'connect-timeout',
  'connect-given-up',
  'retransmit-timeout',
  'keepalive-timeout',
  'user-timeout',
  'synproxy-unanswered',
  'retransmitting',
]);
/** Of what has been left alone nothing more would come: a SYN is sent again sooner. */
const QUIET_S = 5;
const QUIET_NS = QUIET_S * 1e9;
const SNAPLEN = 128;
const PAGE = join(import.meta.dirname, '../docs/captures.md');

/** A line of the page's table: its scenario, and all of it. */
const WRITTEN = /^\| `([^`]+)` \| .* \|$/gm;

/**
 * By scenario or cause: what is as true of it, though the lab calls it otherwise. The end that had closed is a
 * stranger of the lab there, or forgets sooner than others what it has closed; a host that translates tells its
 * client by ICMP that nobody is at the address behind it.
 */
const AS_TRUE: Record<string, string> = {
  'neighbour-failed/translated': 'icmp-unreachable',
  'connect-timeout/source-gone': 'no-route',
  'connect-timeout/redirected': 'conntrack-stale',
  'reset-by-peer/after-fin': 'data-after-close',
  'timewait-overflow': 'data-after-close',
};

/** By scenario: how many connections fail each time, where that is more than one. */
const CONNECTIONS: Record<string, number> = { 'proxy-upstream-failed/reset-one-of': 3 };

type Named = Record<string, number>;
type Verdict = 'right' | 'less' | 'symptom' | 'nothing' | 'wrong';

/** What is said of one capture. */
interface Said {
  named: Named;
  /** Of a symptom: causes that it may be. */
  candidates: ReadonlySet<string>;
}

interface Row {
  scenario: Scenario;
  skipped: string | null;
  said: Record<End, Said>;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    write: { type: 'boolean', default: false },
    keep: { type: 'string' },
    kept: { type: 'string' },
  },
});
const folder = values.kept ?? values.keep ?? mkdtempSync(join(tmpdir(), 'tcpwhy-captures-'));
mkdirSync(folder, { recursive: true });
const chosen = SCENARIOS.filter(({ id }) => positionals.length === 0 || positionals.includes(id));
const rows: Row[] = [];
for (const scenario of chosen) {
  const row = await captured(scenario);
  rows.push(row);
  console.log(line(row));
}
if (folder !== values.keep && folder !== values.kept) rmSync(folder, { recursive: true });
if (values.write) writeFileSync(PAGE, page(rows));
process.exit(rows.some((row) => ENDS.some((end) => verdict(row, end) === 'wrong')) ? 1 : 0);

async function captured(scenario: Scenario): Promise<Row> {
  const silent: Said = { named: {}, candidates: new Set() };
  const nothing = { client: silent, server: silent };
  const why = lacks(scenario, 4);
  if (why !== null) return { scenario, skipped: why, said: nothing };
  const options = { times: TIMES, family: scenario.families[0] ?? 4 };
  const files = ENDS.map((end) => join(folder, `${scenario.id.replaceAll('/', '--')}-${end}.pcap`));
  const explainedFiles = () => {
    const [client = silent, server = silent] = files.map((file) => explained(readFileSync(file)));
    return { scenario, skipped: null, said: { client, server } };
  };
  if (values.kept)
    return existsSync(files[0] as string)
      ? explainedFiles()
      : { scenario, skipped: 'no capture', said: nothing };
  try {
    using lab = Lab.open();
    scenario.prepare?.(lab, options);
    const dumps = await Promise.all(
      ENDS.map((end, at) => Tcpdump.start(lab[end], files[at] as string, ['-s', String(SNAPLEN)])),
    );
    try {
      scenario.run(lab, options);
    } finally {
      await Promise.all(dumps.map((dump) => dump.stop()));
    }
    return explainedFiles();
  } catch (error) {
    const text = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    return { scenario, skipped: `failed: ${text}`, said: nothing };
  }
}

function explained(bytes: Buffer): Said {
  const capture = new Capture('capture');
  const messages = [capture.push(bytes), capture.idle(QUIET_NS), capture.end(false)];
  const pipeline = new Pipeline(capture.header(), CAUSES);
  for (const one of messages) pipeline.push(one);
  pipeline.finish();
  const named: Named = {};
  const candidates = new Set<string>();
  for (const { finding } of pipeline.engine.findings.values()) {
    if (finding.count > 0) named[finding.cause] = (named[finding.cause] ?? 0) + finding.count;
    if (SYMPTOMS.has(finding.cause))
      for (const one of finding.evidence.candidates as string[]) candidates.add(one);
  }
  return { named, candidates };
}

/** What says less of the same failure, or comes of it: causes that the scenario's own stand for. */
function says_less({ id, cause, beside = [] }: Scenario): ReadonlySet<string> {
  const less = new Set([AS_TRUE[id], AS_TRUE[cause]].filter((one) => one !== undefined));
  const add = (id: string) => {
    const { supersedes = [], leadsTo = [] } = CAUSES.find((one) => one.id === id) ?? {};
    for (const other of [...supersedes, ...leadsTo]) {
      if (less.has(other)) continue;
      less.add(other);
      add(other);
    }
  };
  for (const id of [cause, ...beside]) add(id);
  return less;
}

function verdict({ scenario, said }: Row, end: End): Verdict {
  const { named } = said[end];
  const causes = Object.keys(named).filter((cause) => !SYMPTOMS.has(cause));
  if (causes.length === 0) return Object.keys(named).length > 0 ? 'symptom' : 'nothing';
  const less = says_less(scenario);
  const own = (id: string) => id === scenario.cause || scenario.beside?.includes(id);
  if (!causes.every((id) => own(id) || less.has(id))) return 'wrong';
  const most = TIMES * (CONNECTIONS[scenario.id] ?? 1);
  if (causes.some((id) => (named[id] ?? 0) > most)) return 'wrong';
  return causes.includes(scenario.cause) ? 'right' : 'less';
}

/** It is the time-out itself that is made, or why it times out is what the variant is called after. */
function isOneOf({ id, cause }: Scenario, candidates: ReadonlySet<string>): boolean {
  const why = [cause, AS_TRUE[id] ?? '', id.split('/')[1] ?? ''];
  return TIME_OUTS.has(id) || why.some((one) => candidates.has(one));
}

function text(row: Row, end: End): string {
  const { named, candidates } = row.said[end];
  const causes = Object.entries(named)
    .map(([cause, count]) => `${cause} ${count}`)
    .join(', ');
  switch (verdict(row, end)) {
    case 'right':
      return 'right';
    case 'nothing':
      return 'nothing';
    case 'symptom':
      return isOneOf(row.scenario, candidates) ? 'symptom' : 'symptom, of another candidate';
    case 'less':
      return `less: ${causes}`;
    case 'wrong':
      return `wrong: ${causes}`;
  }
}

function line(row: Row): string {
  const { scenario, skipped } = row;
  if (skipped !== null) return `${scenario.id}: skipped, ${skipped}`;
  return `${scenario.id}: ${ENDS.map((end) => `${end} ${text(row, end)}`).join('; ')}`;
}

function page(made: readonly Row[]): string {
  const before = positionals.length > 0 ? readFileSync(PAGE, 'utf8').matchAll(WRITTEN) : [];
  const lines = new Map([...before].map(([whole, id]) => [id, whole]));
  for (const row of made) {
    const { id, cause } = row.scenario;
    const cells = [`\`${id}\``, `\`${cause}\``, ...ENDS.map((end) => text(row, end))];
    if (row.skipped === null) lines.set(id, `| ${cells.join(' | ')} |`);
    else lines.delete(id);
  }
  const ordered = SCENARIOS.flatMap(({ id }) => lines.get(id) ?? []);
  const told = ordered.flatMap((one) => one.slice(2, -2).split(' | ').slice(2));
  const count = (wanted: Verdict) => told.filter((one) => one.startsWith(wanted)).length;
  return `# What captures of the lab's failures show

Written by \`node tools/capture-scenarios.ts --write\`: each failure of the lab is made ${TIMES} times while
\`tcpdump -i any -s ${SNAPLEN}\` runs at both ends, and each capture goes through \`tcpwhy explain\` alone,
as a stream in which nothing comes for ${QUIET_S} s more. [What it can say at all](explain.md).

- right: its cause is named, and nothing else
- less: only what this end can know of it is named, a cause that the true one stands for where both are seen
- symptom: a SYN, or an open connection, without an answer (\`syn-unanswered\`, \`data-unanswered\`), whose
  candidates have the cause or what it came of; where they do not have it, that is said
- nothing: packets do not prove it
- wrong: another cause is named

Of ${told.length} captures ${count('right')} are right, ${count('less')} say less, ${count('symptom')} are a symptom, of ${count('nothing')} nothing is said, ${count('wrong')} are wrong.

| scenario | cause | at the client | at the server |
|---|---|---|---|
${ordered.join('\n')}
`;
}
