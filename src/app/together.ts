// SPDX-License-Identifier: Apache-2.0

import { CAUSES } from '../causes/registry.gen.ts';
import { Pipeline } from '../diagnose/pipeline.ts';
import type { Stream } from '../record/stream.ts';
import { type Tick, ticked } from '../record/ticks.ts';
import type { ScreenModel } from '../sinks/tui/model.ts';
import type { Filter } from '../source/filter.ts';
import { headerFor, narrowedTo } from './recording.ts';
import { PipelineScreen } from './screen-source.ts';

/** Where a recording stands beside the others that are shown with it. */
export interface Beside {
  /** As its host is called. */
  name: string;
  /** To be added to its times to have them on the clock of the first one. */
  correction_ns: number;
}

/** A recording on its way through a pipeline of its own. */
export class Track {
  readonly recording: Stream;
  readonly pipeline: Pipeline;
  readonly screen: PipelineScreen;
  /** Null: it is alone. */
  readonly beside: Beside | null;
  damages = 0;
  /** Bytes of the file up to where it was played. */
  played_bytes = 0;
  readonly #shift_ns: number;

  constructor(
    recording: Stream,
    causes: ReadonlySet<string> | null,
    filter: Filter,
    beside: Beside | null,
  ) {
    const header = headerFor(recording.header, filter);
    this.recording = recording;
    this.beside = beside;
    this.#shift_ns = beside ? Number(header.clock_offset_ns) + beside.correction_ns : 0;
    this.pipeline = new Pipeline(header, CAUSES, null, null, narrowedTo(filter));
    this.screen = new PipelineScreen(this.pipeline, header, recording.path, causes);
  }

  async *ticks(): AsyncGenerator<Played> {
    let [from_bytes, to_bytes] = [0, 0];
    const { recording } = this;
    async function* pieces() {
      for await (const piece of recording.pieces()) {
        [from_bytes, to_bytes] = [to_bytes, recording.used_bytes];
        yield piece;
      }
    }
    for await (const tick of ticked(pieces())) {
      const { ktime_ns, part } = tick;
      const time_ns = ktime_ns === null ? null : ktime_ns + this.#shift_ns;
      const used_bytes = from_bytes + part * (to_bytes - from_bytes);
      yield { track: this, tick, time_ns, used_bytes };
    }
  }

  take({ tick: { messages, damage }, used_bytes }: Played): void {
    this.pipeline.push(messages);
    if (damage) this.damages++;
    this.played_bytes = used_bytes;
    this.screen.note();
  }

  finish(): void {
    this.pipeline.finish();
    this.screen.ended = true;
    this.screen.note();
  }
}

/** What comes next of a recording. */
export interface Played {
  track: Track;
  tick: Tick;
  /** On the clock of all of them; null where there is no tick. */
  time_ns: number | null;
  used_bytes: number;
}

/** What comes next of several recordings, in the order of one clock. */
export async function* playedTogether(tracks: readonly Track[]): AsyncGenerator<Played> {
  const waiting: { next: Played; more: AsyncGenerator<Played> }[] = [];
  try {
    for (const track of tracks) {
      const more = track.ticks();
      const first = await more.next();
      if (!first.done) waiting.push({ next: first.value, more });
    }
    while (waiting.length > 0) {
      const due = waiting.reduce((one, other) => (before(other.next, one.next) ? other : one));
      yield due.next;
      const { value, done } = await due.more.next();
      if (done) waiting.splice(waiting.indexOf(due), 1);
      else due.next = value;
    }
  } finally {
    for (const { more } of waiting) await more.return(undefined);
  }
}

/** What has no time belongs to what came just before it. */
function before(one: Played, other: Played): boolean {
  return (one.time_ns ?? Number.NEGATIVE_INFINITY) < (other.time_ns ?? Number.NEGATIVE_INFINITY);
}

/** What all of them show, on one screen. */
export function shownTogether(tracks: readonly Track[]): ScreenModel {
  const models = tracks.map((track) => modelOf(track));
  const sum = (of: (model: ScreenModel) => number) =>
    models.reduce((total, model) => total + of(model), 0);
  const each = (of: (model: ScreenModel) => string) =>
    [...new Set(models.map(of).filter((text) => text !== ''))].join(', ');
  const [first] = models;
  const others = models.length > 1 ? ` and ${models.length - 1} more` : '';
  return {
    host: `${first?.host ?? ''}${others}`,
    kernel: each(({ kernel }) => kernel),
    tier: each(({ tier }) => tier),
    recording: each(({ recording }) => recording ?? ''),
    target: first?.target ?? null,
    now_ns: Math.max(...models.map(({ now_ns }) => now_ns)),
    events: sum(({ events }) => events),
    events_per_s: sum(({ events_per_s }) => events_per_s),
    lost: sum(({ lost }) => lost),
    unexplained: sum(({ unexplained }) => unexplained),
    benign: sum(({ benign }) => benign),
    // What one of them can show is seen.
    not_observable: (first?.not_observable ?? []).filter((id) =>
      models.every(({ not_observable }) => not_observable.includes(id)),
    ),
    findings: models.flatMap(({ findings }) => findings),
    ended: models.every(({ ended }) => ended),
  };
}

/** On the clock of all, and with its name at each finding. */
function modelOf({ screen, beside, recording: { path } }: Track): ScreenModel {
  const model = screen.read();
  if (!beside) return model;
  const { name, correction_ns } = beside;
  const findings = model.findings.map(({ finding, flows, events, ...view }) => ({
    ...view,
    seen_in: name,
    finding: {
      ...finding,
      id: `${finding.id} ${path}`,
      where: `${name}: ${finding.where}`,
      first_ns: finding.first_ns + correction_ns,
      last_ns: finding.last_ns + correction_ns,
    },
    flows: flows.map((flow) => ({ ...flow, last_ns: flow.last_ns + correction_ns })),
    events: events.map(({ seq, time_ns, text }) => {
      return { seq, time_ns: time_ns + correction_ns, text };
    }),
  }));
  const now_ns = model.now_ns === 0 ? 0 : model.now_ns + correction_ns;
  return { ...model, now_ns, host: name, findings };
}
