// SPDX-License-Identifier: Apache-2.0

import { type AcceptQueue, acceptQueuesIn } from '../host/accept-queues.ts';
import { missing } from '../host/capabilities.ts';
import { cpu_ms, monotonic_ns, readCounters } from '../host/kernel.ts';
import { limits } from '../host/limits.ts';
import { netnsPath, networkNamespaces } from '../host/netns.ts';
import { processesRefused, processState } from '../host/process.ts';
import { LISTENERS, SOCK_DIAG } from '../host/sock-diag.ts';
import { holdersOf, queuesIn, unacceptedAt } from '../host/unaccepted.ts';
import {
  clockOffset_ns,
  hostRefused,
  maxDrained,
  netlink,
  netnsCpu_ms,
  netnsRefused,
  type Session,
  type Waited,
} from '../native/binding.ts';
import { encodeBareTick, encodeEvent } from '../wire/decode.ts';
import type { Header } from '../wire/types.gen.ts';
import { Records } from '../wire/written.ts';
import { type AttachOptions, attach, hostNow } from './attach.ts';
import { ClockWatch } from './clock-watch.ts';
import type { Filter } from './filter.ts';
import { HostFacts } from './host-facts.ts';
import { PartCounts } from './part-counts.ts';
import { publishingHost, withPublished } from './published.ts';
import { LITTLE_BYTES } from './rings.ts';
import type { KernelSource, Means } from './source.ts';
import { type KeyTotals, NewTotals, readKeyTotals, readUntracked } from './totals.ts';
import { type QueueHost, UnacceptedConnections } from './unaccepted.ts';

/** Of a second, which the ticks of an agent come to. */
const TOTALS_EVERY_NS = 8e8;
/** So often what no record tells of is asked for: losses, and totals while nothing comes. */
const ASK_EVERY_NS = 1e10;
/** Of what came all has been told by then: facts, totals, and what was held for others that might come. */
const TOLD_WITHIN_NS = 3e9;
/** Between two ticks while nothing comes: a clock that shows seconds shows each; and where nobody looks on. */
const QUIET_TICK_NS = 9e8;
const UNSEEN_QUIET_TICK_NS = 5e9;
const NOTHING = new Uint8Array(0);
/** Between two looks where whoever asks for ticks is waited for. */
const LOOK_MS = 450;
/** So much is drained, and waits to be asked for; what comes then waits in the buffers. */
const MOST_HELD_BYTES = 16 << 20;
/** Of one message, which must not become too long. */
const KEYS_AT_ONCE = 20_000;
/** What a tick adds to the records that it drained; where it is more, they are copied. */
const MORE_BYTES = 1 << 20;

const QUEUES: QueueHost = {
  namespaces(netns) {
    if (netns === null) return networkNamespaces();
    const path = netnsPath(netns);
    return path === undefined ? [] : [[netns, path]];
  },
  queues: (path) => queuesIn((requests) => netlink(SOCK_DIAG, requests, path)),
  unaccepted: (path, port) => unacceptedAt((requests) => netlink(SOCK_DIAG, requests, path), port),
  holders: holdersOf,
  process: processState,
  cpu_ms: () => cpu_ms() + netnsCpu_ms(),
};

/** The running kernel as a stream of bytes: what BPF wrote, and what only this host can tell. */
export class LiveSource implements KernelSource {
  readonly header: Header;
  readonly looks = false;
  readonly #session: Session;
  readonly #facts: HostFacts;
  readonly #clock: ClockWatch;
  readonly #unaccepted: UnacceptedConnections;
  /** Used again by each tick: new memory each time would cost more than what is done with it. */
  readonly #buffer = Buffer.allocUnsafeSlow(maxDrained() + MORE_BYTES);
  #parts: PartCounts | null = null;
  readonly #new_totals = new NewTotals();
  /** There is no tick sooner after the last one: where little comes, and where nothing does. */
  readonly #rests_ns: number;
  readonly #quiet_ns: number;
  /** Drained, and not told yet. */
  #held: Uint8Array[] = [];
  /** There is a tick among it. */
  #owes_tick = false;
  /** After the last tick of a file nothing is drained until the next one has begun: it is told what came before. */
  #may_look = false;
  #records_lost = 0;
  #records_malformed = 0;
  #came_at_ns: number;
  #ticked_at_ns = 0;
  #totals_at_ns = 0;
  #losses_at_ns = 0;
  #totals: KeyTotals = { keys: [], kinds: [], overflowed: 0 };
  #reported = new Map<string, number>();

  private constructor(session: Session, header: Header, filter: Filter, rests_ms: number) {
    this.#session = session;
    this.header = header;
    this.#rests_ns = rests_ms * 1e6;
    this.#quiet_ns = rests_ms > 0 ? UNSEEN_QUIET_TICK_NS : QUIET_TICK_NS;
    this.#came_at_ns = header.start_ktime_ns;
    this.#clock = new ClockWatch(BigInt(header.clock_offset_ns), clockOffset_ns);
    this.#unaccepted = new UnacceptedConnections(QUEUES, filter);
    this.#facts = new HostFacts(header, () => this.#runIterator('existing_owners'));
  }

  /** Attaches to the kernel. Throws binding errors, with a `code`. */
  static open(options: AttachOptions): LiveSource {
    const filter = withPublished(options.filter, publishingHost);
    const { session, header } = attach({ ...options, filter });
    return new LiveSource(session, header, filter, options.rests_ms ?? 0);
  }

  /** Counts what is told, so that another file can go on from here: to be called first. */
  beginParts(): void {
    this.#parts = new PartCounts();
  }

  /** Sockets and owners that were there before tcpwhy: to be pushed first. */
  begin(): Uint8Array {
    this.#runIterator('existing_owners');
    return this.#sockets();
  }

  #sockets(): Uint8Array {
    const chunks = [...networkNamespaces().values()].map((path) => {
      try {
        return this.#runIterator('existing_sockets', path);
      } catch {
        // It went away between being listed and being entered, or it is counted that it refused.
        return new Uint8Array(0);
      }
    });
    return Buffer.concat(chunks.flatMap((records) => [records, ...this.#factsOf(records)]));
  }

  /** Nothing where this kernel has no such iterator: the plan tells. */
  #runIterator(name: string, netns?: string): Uint8Array {
    const found = this.#session.programs().find((program) => program.name === name);
    return found?.loaded ? this.#session.runIterator(name, netns) : new Uint8Array(0);
  }

  /**
   * What happened since the last call, ending with a tick; with `last` of a file, the exact totals too.
   * That is what each CPU's buffer held after the tick's time: what is written while they are drained may
   * be left for the next call, so a storm cannot hold this one up.
   * Empty where there is no tick yet: nothing came, there is nothing more to tell of what did, and the last one was not
   * long ago; or little came, and it rests (`rests_ms`).
   * The bytes are there until the next call.
   */
  tick(last = false): Uint8Array {
    const ktime_ns = monotonic_ns();
    this.#may_look = !last;
    const clock = this.#clock.changed();
    const { full, records } = this.#drain();
    const came = full.length > 0 || records.length > 0;
    const isLost = this.#records_lost > 0 || this.#records_malformed > 0;
    if (came || isLost) this.#came_at_ns = ktime_ns;
    if (came) this.#facts.tick();
    const waiting = this.#unaccepted.look(ktime_ns);
    if (waiting.length > 0) this.#came_at_ns = ktime_ns;
    const chunks = came ? [...full, records].flatMap((some) => this.#factsOf(some)) : [];
    chunks.push(...waiting);
    const isQuiet = ktime_ns - this.#came_at_ns > TOLD_WITHIN_NS;
    const since_ns = ktime_ns - this.#ticked_at_ns;
    const rests = !this.#owes_tick && since_ns < (isQuiet ? this.#quiet_ns : this.#rests_ns);
    const isLittle = full.length === 0 && records.length < LITTLE_BYTES;
    if (rests && isLittle && !isLost && !clock && !last) {
      if (came) this.#held.push(Buffer.from(records));
      this.#held.push(...chunks);
      return NOTHING;
    }
    this.#ticked_at_ns = ktime_ns;
    const lost = this.#lost(ktime_ns, last);
    if (last || ktime_ns - this.#totals_at_ns > (isQuiet ? ASK_EVERY_NS : TOTALS_EVERY_NS)) {
      this.#totals_at_ns = ktime_ns;
      this.#totals = readKeyTotals(this.#session, last);
      const { kinds, keys, overflowed } = this.#totals;
      lost.push(...this.#grown({ keys_overflowed: overflowed }));
      if (last) this.#new_totals.forget();
      const grown = (last && this.#parts?.end(keys)) || this.#new_totals.of(keys);
      const told = grown.map(({ key, count }) => ({ key: String(key), count }));
      chunks.push(encodeEvent({ ktime_ns, totals: { keys: told, kinds } }));
    }
    // What happened before this tick has its time by the clock as it was.
    if (clock) chunks.push(encodeEvent({ ktime_ns, fact: { clock } }));
    const some = lost.filter(({ count }) => count > 0);
    const isBare = some.length === 0;
    chunks.push(
      isBare ? encodeBareTick(ktime_ns) : encodeEvent({ ktime_ns, tick: { lost: some } }),
    );
    const before = [...this.#held, ...full];
    this.#held = [];
    this.#owes_tick = false;
    return this.#together(before, records, chunks);
  }

  /**
   * Waits until something can be read of `fd`; where nobody looks on, what comes meanwhile is drained and the host
   * asked about it, and the next tick tells it. 'over': nothing could be read for so long. 'asked' too where nothing may
   * be drained: the descriptor is to be read then.
   */
  untilAsked(fd: number, at_most_ms: number): Exclude<Waited, 'written'> {
    if (this.#rests_ns === 0 || !this.#may_look) return 'asked';
    const until_ms = performance.now() + at_most_ms;
    for (;;) {
      const left_ms = Math.max(0, until_ms - performance.now());
      const waited = this.#session.wait(fd, LOOK_MS, left_ms);
      if (waited !== 'written') return waited;
      if (this.#held.reduce((sum, { length }) => sum + length, 0) > MOST_HELD_BYTES) return 'asked';
      const told = this.tick();
      if (told.length === 0) continue;
      this.#held = [Buffer.from(told)];
      this.#owes_tick = true;
    }
  }

  /** What each CPU's buffer holds by now: `records` in `#buffer`, and what came before them and has no room there. */
  #drain(): { full: Uint8Array[]; records: Uint8Array } {
    const full: Uint8Array[] = [];
    for (;;) {
      const { bytes, lost, malformed, more } = this.#session.drain(this.#buffer);
      this.#records_lost += lost.reduce((sum, count) => sum + count, 0);
      this.#records_malformed += malformed;
      const records = this.#buffer.subarray(0, bytes);
      if (!more) return { full, records };
      full.push(Buffer.from(records));
    }
  }

  /** What could not be told since the last time. */
  #lost(ktime_ns: number, last: boolean): { name: string; count: number }[] {
    const lost = [
      { name: 'records_lost', count: this.#records_lost },
      { name: 'records_malformed', count: this.#records_malformed },
    ];
    this.#records_lost = 0;
    this.#records_malformed = 0;
    if (!last && ktime_ns - this.#losses_at_ns <= ASK_EVERY_NS) return lost;
    this.#losses_at_ns = ktime_ns;
    return [
      ...lost,
      ...this.#grown({
        ...readUntracked(this.#session),
        hook_missed: this.#missed(),
        netns_refused: netnsRefused(),
        host_refused: hostRefused() + processesRefused(),
      }),
    ];
  }

  /** `records` are the beginning of `#buffer`, where the others follow them if there is room. */
  #together(before: Uint8Array[], records: Uint8Array, after: Uint8Array[]): Uint8Array {
    let bytes = records.length;
    const more = after.reduce((sum, { length }) => sum + length, 0);
    if (before.length > 0 || bytes + more > this.#buffer.length)
      return Buffer.concat([...before, records, ...after]);
    for (const chunk of after) {
      this.#buffer.set(chunk, bytes);
      bytes += chunk.length;
    }
    return this.#buffer.subarray(0, bytes);
  }

  /**
   * Detaches and takes what is left, then the end of the stream: counters, losses since the
   * beginning, and why it ended.
   */
  end(why: string, losses: Record<string, number> = {}): Uint8Array {
    this.#session.detach();
    const rest = this.tick(true);
    this.#session.close();
    return Buffer.concat([rest, this.footer(why, losses)]);
  }

  footer(end: string, losses: Record<string, number>): Uint8Array {
    const footer = { counters: readCounters(), end, losses };
    return encodeEvent({ ktime_ns: monotonic_ns(), footer });
  }

  /** Header of another file that goes on from here. */
  headerOf(part: number): Header {
    // Not read anew: an event has the same time in this file and where the run is shown.
    return { ...this.header, ...hostNow(), clock_offset_ns: String(this.#clock.told_ns), part };
  }

  /** Sockets, and facts when they are next needed, as if nothing had been told yet. */
  again(): Uint8Array {
    this.#facts.forget();
    const told_ns = String(this.#clock.told_ns);
    const clock = { offset_ns: told_ns, was_ns: told_ns };
    return Buffer.concat([
      encodeEvent({ ktime_ns: monotonic_ns(), fact: { clock } }),
      this.#sockets(),
    ]);
  }

  /** What was told up to the last exact totals: another file goes on from them. */
  before(): Uint8Array {
    const { kinds } = this.#totals;
    const keys = this.#parts?.before() ?? [];
    const ktime_ns = monotonic_ns();
    const ticks = [encodeEvent({ ktime_ns, tick: { before: { kinds } } })];
    for (let from = 0; from < keys.length; from += KEYS_AT_ONCE) {
      const some = keys.slice(from, from + KEYS_AT_ONCE);
      ticks.push(encodeEvent({ ktime_ns, tick: { before: { keys: some } } }));
    }
    return Buffer.concat(ticks);
  }

  acceptQueues(netns: number | null): AcceptQueue[] {
    const all = networkNamespaces();
    const paths = netns === null ? [...all.values()] : [all.get(netns) ?? []].flat();
    return paths.flatMap((path) => {
      try {
        return acceptQueuesIn(netlink(SOCK_DIAG, LISTENERS, path));
      } catch {
        // It went away meanwhile, or this kernel cannot be asked (CONFIG_INET_DIAG).
        return [];
      }
    });
  }

  means(): Means {
    return { missing: missing(), limits: limits() };
  }

  /** Instructions that the verifier went through, by program; empty before Linux 5.16. */
  verified(): Record<string, number> {
    const counted = this.#session.verified().filter(({ count }) => count > 0);
    return Object.fromEntries(counted.map(({ name, count }) => [name, count]));
  }

  close(): void {
    this.#session.close();
  }

  #missed(): number {
    return this.#session.missed().reduce((sum, { count }) => sum + count, 0);
  }

  /** Running totals as what was added since the last time. */
  #grown(totals: Record<string, number>): { name: string; count: number }[] {
    return Object.entries(totals).map(([name, total]) => {
      const count = total - (this.#reported.get(name) ?? 0);
      this.#reported.set(name, total);
      return { name, count };
    });
  }

  /** What is no record of this version has no facts; the pipeline counts it. */
  #factsOf(records: Uint8Array): Uint8Array[] {
    const facts: Uint8Array[] = [];
    const each = new Records(records);
    while (each.next()) {
      this.#parts?.add(each.w, each.at);
      facts.push(...this.#facts.of(each.w, each.at, each.layout));
    }
    return facts;
  }
}
