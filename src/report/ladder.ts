// SPDX-License-Identifier: Apache-2.0

import { flagsText, TCP_FLAG } from '../tcp/flags.ts';
import { servedAtSource } from '../tcp/service.ts';
import { endsOf } from './connection.ts';
import type { Ladder, LadderEnd, NoteRung, Rung, SegmentRung } from './model.ts';
import { SAME_PACKET_NS, segmentId } from './segments.ts';
import type { NoteStep, SegmentStep } from './steps.ts';
import type { TimedStep } from './watch.ts';

const MAX_ENDS = 6;
/** Shown at the beginning and at the end of a long one. */
const SHOWN_AT_EACH_END = 12;
/** A connection with the same ends long before was another one. */
const BEFORE_NS = 130e9;
const AFTER_NS = 10e9;
/** A reset that a process caused and the one that arrived are the same, though its numbers were told from the socket. */
const RESET_UNDERWAY_NS = 100e6;

interface Open {
  rung: SegmentRung;
  step: SegmentStep;
  last_ns: number;
}

/**
 * Steps of all hosts as one ladder: what one host saw leave and another arrive is one arrow.
 * `about_ns` is when the finding was seen last; `hosts` are their names by number.
 */
export function ladderOf(
  steps: readonly TimedStep[],
  skipped: number,
  about_ns: number,
  hosts: readonly string[],
  owners: ReadonlyMap<string, string>,
  uncertainty_ns: number,
): Ladder | null {
  const ends: LadderEnd[] = [];
  const rungs: Rung[] = [];
  const open: Open[] = [];
  const near = steps.filter(
    ({ time_ns }) => time_ns >= about_ns - BEFORE_NS && time_ns <= about_ns + AFTER_NS,
  );
  for (const end of inOrder(near)) placeOf(end, null);
  for (const { host, time_ns, step } of near) {
    const name = hosts[host] ?? '';
    if (step.kind === 'note') addNote(step, name, time_ns);
    else if (!merge(step, name, time_ns)) addSegment(step, name, time_ns);
  }
  if (rungs.length === 0) return null;
  return { ends, ...shortened(rungs, skipped) };

  function addNote(step: NoteStep, host: string, time_ns: number): void {
    const at = placeOf(endsOf(step.flow)[0], host);
    const previous = rungs.at(-1);
    if (at === null) return;
    const rung: NoteRung = { kind: 'note', time_ns, at, host, text: step.text };
    if (previous?.kind === 'note' && previous.at === at && previous.text === step.text) return;
    rungs.push(rung);
  }

  function addSegment(step: SegmentStep, host: string, time_ns: number): void {
    const [source, destination] = endsOf(step.flow);
    const from = placeOf(source, step.role === 'sent' ? host : null);
    const to = placeOf(destination, step.role === 'received' ? host : null);
    if (from === null || to === null) return;
    const { seq, ack, len, what, seen } = step;
    const rung: SegmentRung = {
      kind: 'segment',
      time_ns: step.earlier ? null : time_ns,
      from,
      to,
      flags: flagsOf(step),
      ...{ seq, ack, len, what, seen },
      sent_by: [],
      received_by: [],
      verdicts: [],
    };
    if (step.earlier && rungs.some((one) => sameSyn(one, rung))) return;
    witness(rung, step, host);
    rungs.push(rung);
    open.push({ rung, step, last_ns: time_ns });
  }

  /** Whether it is a segment that is there already, seen again: at its other end, or as its drop. */
  function merge(step: SegmentStep, host: string, time_ns: number): boolean {
    const found = open.findLast((one) => isSame(one, step, host, time_ns));
    if (!found) return false;
    const { rung } = found;
    if (step.seen && !rung.seen) {
      const { seq, ack, len, seen } = step;
      Object.assign(rung, { flags: flagsOf(step), seq, ack, len, seen });
    }
    witness(rung, step, host);
    placeOf(endsOf(step.flow)[step.role === 'sent' ? 0 : 1], host);
    return true;
  }

  function isSame(
    { rung, step: other, last_ns }: Open,
    step: SegmentStep,
    host: string,
    time_ns: number,
  ) {
    if (step.earlier || other.earlier) return false;
    const by = step.role === 'sent' ? rung.sent_by : rung.received_by;
    const again = by.includes(host);
    const limit_ns = SAME_PACKET_NS + (again ? 0 : uncertainty_ns);
    const id = segmentId(step);
    if (id !== null && id === segmentId(other)) return time_ns - last_ns <= limit_ns;
    const resets = ((step.flags ?? 0) & (other.flags ?? 0) & TCP_FLAG.rst) !== 0;
    const [a, b] = [endsOf(step.flow).join(' '), endsOf(other.flow).join(' ')];
    const unsure = !step.seen || !other.seen;
    return (
      resets &&
      unsure &&
      !again &&
      a === b &&
      time_ns - last_ns <= RESET_UNDERWAY_NS + uncertainty_ns
    );
  }

  /** The number of the line of this end, null where there is no room for one more. */
  function placeOf(end: string, host: string | null): number | null {
    const at = ends.findIndex(({ text }) => text === end);
    const known = ends[at];
    if (known) {
      known.host ??= host;
      return at;
    }
    if (ends.length >= MAX_ENDS) return null;
    ends.push({ text: end, host, process: owners.get(end) ?? null });
    return ends.length - 1;
  }
}

/** Ends in the order in which they come up, those that dial before those that are dialled. */
function inOrder(steps: readonly TimedStep[]): string[] {
  const flows = steps.map(({ step }) => step.flow);
  const dialling = flows.map((flow) => endsOf(flow)[servedAtSource(flow) ? 1 : 0]);
  return [...new Set([...dialling, ...flows.flatMap(endsOf)])];
}

function witness(rung: SegmentRung, step: SegmentStep, host: string): void {
  const by = step.role === 'sent' ? rung.sent_by : rung.received_by;
  if (!by.includes(host)) by.push(host);
  const { verdict: text, mark, role: at } = step;
  // What was answered with a reset is freed afterwards: its drop says nothing new.
  const said = rung.verdicts.some(
    (one) =>
      one.host === host && (one.text === text || (one.mark === 'reset' && mark === 'dropped')),
  );
  if (text !== null && !said) rung.verdicts.push({ host, text, mark, at });
}

const flagsOf = ({ flags }: SegmentStep) => (flags === null ? null : flagsText(flags));

/** What a socket waits for is drawn once. */
function sameSyn(one: Rung, other: SegmentRung): boolean {
  return (
    one.kind === 'segment' &&
    one.from === other.from &&
    one.to === other.to &&
    one.flags === other.flags &&
    one.seq === other.seq
  );
}

function shortened(rungs: Rung[], skipped: number): Pick<Ladder, 'rungs' | 'skipped'> {
  if (rungs.length <= 2 * SHOWN_AT_EACH_END + 1) {
    const middle = Math.floor(rungs.length / 2);
    return { rungs, skipped: skipped > 0 ? { after: middle, count: skipped } : null };
  }
  const left_out = rungs.length - 2 * SHOWN_AT_EACH_END;
  return {
    rungs: [...rungs.slice(0, SHOWN_AT_EACH_END), ...rungs.slice(-SHOWN_AT_EACH_END)],
    skipped: { after: SHOWN_AT_EACH_END, count: left_out + skipped },
  };
}
