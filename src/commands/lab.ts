// SPDX-License-Identifier: Apache-2.0

import { openLive, RECORDS_PER_S } from '../app/attach.ts';
import type { Values } from '../app/declare.ts';
import type { LAB } from '../app/flags.ts';
import { refuseExisting, saveAs } from '../app/output.ts';
import { colored, startOf } from '../app/run.ts';
import { UsageError } from '../app/usage.ts';
import { interruption } from '../app/watch.ts';
import { examine, examineAll, lacks, type Row, TIMES } from '../lab/conformance.ts';
import { type View, viewed } from '../lab/ends.ts';
import { missingCommands } from '../lab/netns.ts';
import type { Scenario } from '../lab/scenario.ts';
import { SCENARIOS } from '../lab/scenarios.ts';
import { score } from '../lab/score.ts';
import { Watching } from '../lab/watching.ts';
import { HOSTS } from '../lab/wiring.ts';
import { conformancePage } from '../sinks/conformance-page.ts';
import { jsonSink } from '../sinks/json.ts';
import { rowLines, scoreLines, viewLines } from '../sinks/lab.ts';
import { jsonText } from '../sinks/printable.ts';
import { textSink } from '../sinks/text.ts';
import { wrap } from '../sinks/wrap.ts';
import { EVERYTHING } from '../source/filter.ts';
import type { Family } from '../tcp/address.ts';

type Flags = Values<typeof LAB>;
type Write = (text: string) => void;

/** Lists the scenarios, makes one happen, or all of them and compares: the exit status. */
export function lab(ids: string[], flags: Flags, write: Write): number | Promise<number> {
  const scenarios = ids.map(scenarioCalled);
  refuseExisting(flags.write, flags.force);
  if (flags.all) return conformance(ids.length > 0 ? scenarios : SCENARIOS, flags, write);
  const [scenario, second] = scenarios;
  if (!scenario) {
    for (const flag of ['times', 'family', 'tier'] as const) {
      if (flags[flag] !== null) throw new UsageError(`--${flag} needs a SCENARIO, or --all`);
    }
    return list(flags, write);
  }
  if (second) throw new UsageError('one scenario at a time, or --all with those to compare');
  return show(scenario, flags, write);
}

function list({ json }: Flags, write: Write): number {
  for (const scenario of SCENARIOS) {
    const { id, cause, title, families } = scenario;
    const lacking = lacks(scenario, families[0] ?? 4);
    if (json) {
      write(`${jsonText({ type: 'scenario', scenario: id, cause, title, families, lacking })}\n`);
      continue;
    }
    const only = families.length === 1 ? ` (IPv${families[0]} only)` : '';
    const about = id.startsWith(cause) ? '' : ` → ${cause}`;
    const text = `${title}${about}${only}${lacking ? `; ${lacking}` : ''}`;
    for (const line of wrap(text, `${id.padEnd(32)} `, ' '.repeat(33))) write(`${line}\n`);
  }
  return 0;
}

/** One scenario, what its two ends see, and what tcpwhy says of it. */
async function show(scenario: Scenario, flags: Flags, write: Write): Promise<number> {
  const family = familyOf(flags.family, scenario);
  const times = flags.times ?? 1;
  const { watching, header, close } = open(flags);
  interruption();
  try {
    let view: View | null = null;
    const { findings, ...row } = await examine(
      watching,
      scenario,
      { times, family },
      (lab, work) => {
        const seen = viewed(lab, work);
        view = seen.view;
        return seen.made;
      },
    );
    if (row.verdict === 'skipped' || !view) {
      throw new UsageError(`${scenario.id}: ${row.why ?? 'it could not be made'}`);
    }
    if (flags.json) {
      const sink = jsonSink(write);
      sink.start(startOf(header));
      write(`${jsonText({ type: 'view', ...(view as View) })}\n`);
      for (const finding of findings) sink.finding(finding);
      write(`${jsonText({ type: 'result', ...row })}\n`);
    } else {
      const line = (text = '') => write(`${text}\n`);
      for (const text of wrap(`${scenario.id}: ${scenario.title}`, '', '  ')) line(text);
      line();
      for (const text of viewLines(view, namesOf(family))) line(text);
      line();
      line('What tcpwhy says:');
      const sink = textSink(write, { color: colored(flags.color), quiet: false });
      for (const finding of findings) sink.finding(finding);
      line();
      for (const text of rowLines(row)) line(text);
    }
    return row.verdict === 'passed' ? 0 : 1;
  } finally {
    close();
  }
}

/** Every scenario, and how well each cause was told. */
async function conformance(
  scenarios: readonly Scenario[],
  flags: Flags,
  write: Write,
): Promise<number> {
  const times = flags.times ?? TIMES;
  const { watching, header, close } = open(flags);
  const interrupted = interruption();
  const rows: Row[] = [];
  const line = (text: string) => write(`${text}\n`);
  const json = (type: string, object: object) => line(jsonText({ type, ...object }));
  if (flags.json) jsonSink(write).start(startOf(header));
  try {
    const cases = scenarios.flatMap((scenario) =>
      familiesOf(flags.family, scenario).map((family) => ({ scenario, family })),
    );
    for await (const { findings: _, ...row } of examineAll(watching, cases, times)) {
      rows.push(row);
      if (flags.json) json('result', row);
      else rowLines(row).forEach(line);
      if (interrupted.aborted) break;
    }
  } finally {
    close();
  }
  const scores = score(rows);
  const number = (verdict: Row['verdict']) => rows.filter((row) => row.verdict === verdict).length;
  const [passed, failed, skipped] = [number('passed'), number('failed'), number('skipped')];
  if (flags.json) {
    for (const one of scores) json('score', one);
    json('conformance', { passed, failed, skipped, interrupted: interrupted.aborted });
  } else {
    line('');
    scoreLines(scores).forEach(line);
    line(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
  }
  if (interrupted.aborted) return 130;
  if (flags.write !== null) writePage(flags.write, flags.force, header, rows);
  return failed === 0 ? 0 : 1;
}

function writePage(
  path: string,
  force: boolean,
  { kernel, tier }: { kernel: string; tier: string },
  rows: Row[],
) {
  const page = conformancePage(
    [{ kernel, tier, rows, scores: score(rows) }],
    score(rows),
    new Date().toISOString().slice(0, 10),
  );
  saveAs(path, page, { force });
}

/** Watches everything. Throws UsageError where labs cannot be made or the kernel not be watched. */
function open(flags: Flags) {
  if (process.getuid?.() !== 0) {
    throw new UsageError('the lab makes network namespaces: run it as root (sudo tcpwhy lab …)');
  }
  const [missing] = missingCommands(['ip', 'ss', 'sysctl', 'cat']);
  if (missing !== undefined) throw new UsageError(`the lab needs the program ${missing}`);
  const source = openLive({
    filter: EVERYTHING,
    records_per_s: RECORDS_PER_S,
    tier: flags.tier ?? 'hooks',
  });
  const close = () => source.close();
  return { watching: new Watching(source), header: source.header, close };
}

function scenarioCalled(id: string): Scenario {
  const scenario = SCENARIOS.find((one) => one.id === id);
  if (!scenario) throw new UsageError(`no scenario ${id}; tcpwhy lab lists them`);
  return scenario;
}

function familiesOf(wanted: Family | null, { families }: Scenario): readonly Family[] {
  return families.filter((family) => wanted === null || family === wanted);
}

function familyOf(wanted: Family | null, scenario: Scenario): Family {
  const [family] = familiesOf(wanted, scenario);
  if (!family) throw new UsageError(`${scenario.id} is not made with IPv${wanted}`);
  return family;
}

function namesOf(family: Family): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(HOSTS[family]).map(([name, address]) => [
      address,
      name === 'nowhere' ? 'stranger' : name,
    ]),
  );
}
