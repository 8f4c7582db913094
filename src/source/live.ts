// SPDX-License-Identifier: Apache-2.0

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Cgroups } from '../host/cgroup.ts';
import {
  clockOffset_ns,
  kernelIdentity,
  monotonic_ns,
  readCounters,
  readSysctls,
} from '../host/kernel.ts';
import { networkNamespaces, ownNetns } from '../host/netns.ts';
import { Symbols } from '../host/symbols.ts';
import { getpeernamePrograms, kernelEnums, Session } from '../native/binding.ts';
import { VERSION } from '../version.ts';
import { decodeEvent, encodeEvent } from '../wire/decode.ts';
import { FrameReader } from '../wire/frames.ts';
import { MIB_SLOTS } from '../wire/mib.gen.ts';
import type { EnumTable, Header } from '../wire/types.gen.ts';
import { FactFinder } from './fact-finder.ts';
import { type Filter, filterRodata, filterText } from './filter.ts';
import { hookStates } from './hooks.ts';
import { readKeyTotals, readUntracked } from './totals.ts';

/** Of each CPU: 2 MiB, room for what the sampling of a dozen keys lets through between two ticks. */
const PERF_PAGES = 512;
const TOTALS_EVERY_NS = 1e9;

/** Numbers of system calls by Node's name of the architecture. */
const SYSCALLS: Record<string, { getpeername: number; accept: number; accept4: number }> = {
  x64: { getpeername: 52, accept: 43, accept4: 288 },
  arm64: { getpeername: 205, accept: 202, accept4: 242 },
};

export interface LiveOptions {
  filter: Filter;
  /** Records a second of one key on one CPU that are kept in a storm; 0 keeps every record. */
  records_per_s: number;
}

/** The running kernel as a stream of bytes: what BPF wrote, and what only this host can tell. */
export class LiveSource {
  readonly header: Header;
  readonly #session: Session;
  readonly #facts: FactFinder;
  #totals_at_ns = 0;
  #reported = new Map<string, number>();

  private constructor(session: Session, header: Header) {
    this.#session = session;
    this.header = header;
    this.#facts = new FactFinder(new Symbols(), new Cgroups(), getpeernamePrograms);
  }

  /** Attaches to the kernel. Throws binding errors, with a `code`. */
  static open(options: LiveOptions): LiveSource {
    const enums = kernelEnums(
      ['skb_drop_reason', 'sk_rst_reason'],
      ['LINUX_MIB_LISTENDROPS', 'TCP_MIB_OUTRSTS', 'IPSTATS_MIB_OUTNOROUTES'],
    );
    const start_ktime_ns = monotonic_ns();
    const session = Session.attach({
      object: bpfObject(),
      rodata: rodata(options, enums),
      perfMap: 'events',
      perfPages: PERF_PAGES,
    });
    return new LiveSource(session, header(session, options.filter, enums, start_ktime_ns));
  }

  /** Sockets and owners that were there before tcpwhy: to be pushed first. */
  begin(): Uint8Array {
    this.#session.runIterator('existing_owners');
    const chunks = [...networkNamespaces().values()].map((path) => {
      try {
        return this.#session.runIterator('existing_sockets', path);
      } catch {
        // The namespace went away between being listed and being entered.
        return new Uint8Array(0);
      }
    });
    return Buffer.concat(chunks.map((records) => this.#withFacts(records)));
  }

  /** What happened since the last call, ending with a tick; with `last`, the exact totals too. */
  tick(last = false): Uint8Array {
    const chunks: Uint8Array[] = [];
    const ktime_ns = monotonic_ns();
    let records_lost = 0;
    let records_malformed = 0;
    for (;;) {
      const { records, lost, malformed, more } = this.#session.drain();
      chunks.push(this.#withFacts(records));
      records_lost += lost.reduce((sum, count) => sum + count, 0);
      records_malformed += malformed;
      if (!more) break;
    }
    const lost = [
      { name: 'records_lost', count: records_lost },
      { name: 'records_malformed', count: records_malformed },
    ];
    if (last || ktime_ns - this.#totals_at_ns > TOTALS_EVERY_NS) {
      this.#totals_at_ns = ktime_ns;
      const { keys, kinds, overflowed } = readKeyTotals(this.#session);
      lost.push(
        ...this.#grown({
          ...readUntracked(this.#session),
          hook_missed: this.#missed(),
          keys_overflowed: overflowed,
        }),
      );
      chunks.push(encodeEvent({ ktime_ns, totals: { keys, kinds } }));
    }
    chunks.push(encodeEvent({ ktime_ns, tick: { lost: lost.filter(({ count }) => count > 0) } }));
    return Buffer.concat(chunks);
  }

  /** Detaches, takes what is left, and ends the stream: counters at the end, and why it ended. */
  end(why: string): Uint8Array {
    this.#session.detach();
    const rest = this.tick(true);
    this.#session.close();
    return Buffer.concat([
      rest,
      encodeEvent({ ktime_ns: monotonic_ns(), footer: { counters: readCounters(), end: why } }),
    ]);
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

  #withFacts(records: Uint8Array): Uint8Array {
    const facts: Uint8Array[] = [];
    for (const { bytes } of new FrameReader().push(records)) {
      try {
        const event = decodeEvent(bytes);
        if (event) facts.push(...this.#facts.of(event));
      } catch {
        // The pipeline counts it.
      }
    }
    return facts.length > 0 ? Buffer.concat([...facts, records]) : records;
  }
}

/** Beside the bundle; from the sources, in build/. */
export function bpfObject(): string {
  for (const place of ['./tcpwhy.bpf.o', '../../build/tcpwhy.bpf.o']) {
    const path = fileURLToPath(new URL(place, import.meta.url));
    if (existsSync(path)) return path;
  }
  return fileURLToPath(new URL('./tcpwhy.bpf.o', import.meta.url));
}

type Enums = Record<string, Record<string, number>>;

function rodata({ filter, records_per_s }: LiveOptions, enums: Enums): Record<string, Uint8Array> {
  const numbers = {
    ...enums.LINUX_MIB_LISTENDROPS,
    ...enums.TCP_MIB_OUTRSTS,
    ...enums.IPSTATS_MIB_OUTNOROUTES,
  };
  const index = Buffer.alloc(2 * MIB_SLOTS.length);
  MIB_SLOTS.forEach(({ counter }, slot) =>
    index.writeUInt16LE(numbers[counter] ?? 0xffff, 2 * slot),
  );
  const calls = SYSCALLS[process.arch] ?? { getpeername: -1, accept: -1, accept4: -1 };
  return {
    ...filterRodata(filter),
    mib_index: index,
    sample_interval_ns: u64(records_per_s > 0 ? Math.round(1e9 / records_per_s) : 0),
    sample_burst: u64(records_per_s),
    nr_getpeername: u32(calls.getpeername >>> 0),
    nr_accept: u32(calls.accept >>> 0),
    nr_accept4: u32(calls.accept4 >>> 0),
  };
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function header(session: Session, filter: Filter, enums: Enums, start_ktime_ns: number): Header {
  const hooks = hookStates(session.programs());
  return {
    magic: 'tcpwhy',
    format: 1,
    tcpwhy_version: VERSION,
    ...kernelIdentity(),
    clock_offset_ns: String(clockOffset_ns()),
    start_ktime_ns,
    tier: 'tracepoints',
    hooks: hooks.map(({ fact, hook, reason }) => ({
      fact,
      hook: hook ?? '',
      reason: reason ?? '',
    })),
    enums: [
      enumTable('skb_drop_reason', 'SKB_DROP_REASON_', enums),
      enumTable('sk_rst_reason', 'SK_RST_REASON_', enums),
    ],
    sysctls: readSysctls(),
    counters: readCounters(),
    filters: filterText(filter),
    netns: ownNetns(),
  };
}

function enumTable(name: string, prefix: string, enums: Enums): EnumTable {
  const names = Object.entries(enums[name] ?? {}).map(([member, value]) => [
    String(value),
    member.replace(prefix, ''),
  ]);
  return { name, names: Object.fromEntries(names) };
}
