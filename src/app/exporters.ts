// SPDX-License-Identifier: Apache-2.0

import { CAUSES } from '../causes/registry.gen.ts';
import { happened } from '../diagnose/describe.ts';
import type { Narrowed } from '../diagnose/narrowed.ts';
import type { Occurrence } from '../diagnose/open-finding.ts';
import { type EventListener, Pipeline } from '../diagnose/pipeline.ts';
import { UntilFinal } from '../diagnose/until-final.ts';
import { verdictsOf } from '../diagnose/verdict.ts';
import type { Knowledge } from '../known/knowledge.ts';
import { csvSink } from '../sinks/export/csv.ts';
import {
  type ExportedEvent,
  type ExportFormat,
  type ExportSink,
  sockIn,
} from '../sinks/export/format.ts';
import { pcapngSink } from '../sinks/export/pcapng.ts';
import { stateName } from '../tcp/states.ts';
import { encodeHeader } from '../wire/decode.ts';
import type { Event } from '../wire/event.ts';
import { Losses } from '../wire/loss.ts';
import type { Header } from '../wire/types.gen.ts';
import type { Output } from './output.ts';
import { Run } from './run.ts';

/** Turns the stream of a recording into a file of another format. */
export interface Exporter {
  /** Whole messages with their lengths. */
  push(messages: Uint8Array): void;
  /** No more bytes. */
  finish(): void;
  readonly losses: Losses;
  /** Events that the format has no room for. */
  readonly left_out: number;
}

type Write = Output['write'];

export const FORMATS: Record<
  ExportFormat,
  {
    binary: boolean;
    open: (header: Header, write: Write, narrowed: Narrowed | null) => Exporter;
  }
> = {
  ndjson: {
    binary: false,
    open: (header, write, narrowed) => new FindingsExporter(header, write, narrowed),
  },
  csv: {
    binary: false,
    open: (header, write, narrowed) => new EventsExporter(header, csvSink(write), narrowed),
  },
  pcapng: {
    binary: true,
    open: (header, write, narrowed) =>
      new EventsExporter(header, pcapngSink(header, write), narrowed),
  },
  protobuf: { binary: true, open: (header, write) => new MessagesExporter(header, write) },
};

/** What `replay --json --events` prints. */
class FindingsExporter implements Exporter {
  readonly left_out = 0;
  readonly #run: Run;

  constructor(header: Header, write: Write, narrowed: Narrowed | null) {
    const options = { json: true, color: false, quiet: false, events: true, all: false };
    this.#run = new Run(header, { ...options, causes: null, failOn: 'warning' }, write, narrowed);
  }

  push(messages: Uint8Array): void {
    this.#run.push(messages);
  }

  finish(): void {
    this.#run.finish();
  }

  get losses() {
    return this.#run.pipeline.losses;
  }
}

/** Each event with its causes, once they are final. */
class EventsExporter implements Exporter {
  readonly #pipeline: Pipeline;
  readonly #sink: ExportSink;
  readonly #settled: UntilFinal<{ exported: ExportedEvent; occurrences: readonly Occurrence[] }>;

  constructor(header: Header, sink: ExportSink, narrowed: Narrowed | null) {
    this.#sink = sink;
    this.#settled = new UntilFinal(({ exported, occurrences }) => {
      exported.verdicts = verdictsOf(occurrences);
      sink.event(exported);
    });
    const listener: EventListener = (event, seq, _time, occurrences) => {
      const time_ns = this.#pipeline.clock.exactly(event.ktime_ns);
      const exported = exportedOf(event, seq, time_ns, this.#pipeline.known);
      this.#settled.push({ exported, occurrences }, event.ktime_ns);
    };
    this.#pipeline = new Pipeline(header, CAUSES, listener, null, narrowed);
  }

  push(messages: Uint8Array): void {
    this.#pipeline.push(messages);
  }

  finish(): void {
    this.#pipeline.finish();
    this.#settled.finish();
    this.#sink.end();
  }

  get losses() {
    return this.#pipeline.losses;
  }

  get left_out() {
    return this.#sink.left_out;
  }
}

/** Its verdicts are yet to come. */
function exportedOf(event: Event, seq: number, time_ns: bigint, known: Knowledge): ExportedEvent {
  const sock = sockIn(event);
  return {
    event,
    seq,
    time_ns,
    happened: happened(event, known),
    reason: reasonOf(event, known),
    state: sock ? stateName(sock.state) : '',
    container: sock && known.place(sock.owner, event).container,
    verdicts: [],
  };
}

function reasonOf(event: Event, known: Knowledge): string {
  if (event.kind === 'drop') return known.dropReason(event.body.reason);
  return event.kind === 'reset_sent' ? known.resetReason(event.body.reason) : '';
}

/** The very messages of the recording. */
class MessagesExporter implements Exporter {
  readonly losses = new Losses();
  readonly left_out = 0;
  readonly #write: Write;

  constructor(header: Header, write: Write) {
    this.#write = write;
    write(encodeHeader(header));
  }

  push(messages: Uint8Array): void {
    this.#write(messages);
  }

  finish(): void {}
}
