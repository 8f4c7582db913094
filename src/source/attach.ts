// SPDX-License-Identifier: Apache-2.0

import { randomBytes } from 'node:crypto';
import type { Fact } from '../causes/facts.ts';
import { builtFile } from '../host/built.ts';
import { kernelIdentity, monotonic_ns, readCounters, readSysctls } from '../host/kernel.ts';
import { lockable_bytes } from '../host/limits.ts';
import { networkNamespaces, ownNetns } from '../host/netns.ts';
import { hasFirstPids } from '../host/process.ts';
import { presentFunctions, showsSymbols } from '../host/symbols.ts';
import {
  clockOffset_ns,
  hasBtf,
  kernelEnums,
  onlineCpus,
  parameterCounts,
  Session,
  tryHooks,
} from '../native/binding.ts';
import { VERSION } from '../version.ts';
import type { EnumTable, Header } from '../wire/types.gen.ts';
import { type Filter, filterRodata, filterText } from './filter.ts';
import { type Enums, MIB_ENUMS, mibRodata } from './mib-reads.ts';
import {
  ALL_PROGRAMS,
  ASKED_FUNCTIONS,
  ASKED_PARAMETERS,
  type Choice,
  choose,
  failures,
  notChosen,
  refused,
  type Tier,
} from './plan.ts';
import { ringBytes } from './rings.ts';
import { toaRodata } from './toa.ts';

/** Numbers of system calls by Node's name of the architecture. */
const SYSCALLS: Record<string, Record<string, number>> = {
  x64: { getpeername: 52, accept: 43, accept4: 288, connect: 42, bind: 49 },
  arm64: { getpeername: 205, accept: 202, accept4: 242, connect: 203, bind: 200 },
};
const WATCHED_CALLS = ['getpeername', 'accept', 'accept4', 'connect', 'bind'];

/** By each CPU while one handles a SYN. */
const QUEUED_MEANWHILE = 4;

export interface AttachOptions {
  filter: Filter;
  /** Records a second of one key on one CPU that are kept in a storm, and explained. */
  records_per_s: number;
  /** How many may come at once; as many as in a second unless given. */
  burst?: number;
  /** The others are kept too, to be counted. */
  every_record?: boolean;
  /** Highest tier that may be used. */
  tier: Tier;
  /** Probes only, as on a kernel without trampolines or BTF: to try them on one that has both. */
  probes?: boolean;
  /** A file with the kernel's BTF, where the kernel itself has none. */
  btf?: string | undefined;
  /** Bytes of each CPU's ring; those that suit the host unless given. */
  ring_bytes?: number;
  /** False: the header has none. */
  host_name?: boolean;
  /** Nobody looks on: where little comes, so long there is no tick after another. */
  rests_ms?: number;
  /** Kinds of TCP options that tell whom a balancer connects for, beside those that are known. */
  toa_kinds?: readonly number[];
}

export interface Attached {
  session: Session;
  header: Header;
  /** How often the programs were loaded: once, unless one that was chosen did not run. */
  rounds: number;
}

/**
 * Takes the best way to each fact that this kernel allows: the best of those whose hooks it lets programs
 * run at, and where one of these programs fails still the next best, until all that is chosen runs. Throws
 * binding errors, with a `code`.
 */
export function attach(options: AttachOptions): Attached {
  const { btf, tier, probes = false, ring_bytes = suitingRings() } = options;
  const enums = kernelEnums(['skb_drop_reason', 'sk_rst_reason'], [...MIB_ENUMS], btf);
  const parameters = parameterCounts([...ASKED_PARAMETERS], btf);
  const functions = asked(btf);
  const kernel = { parameters, functions, tier, trampolines: !probes };
  const object = builtFile('tcpwhy.bpf.o');
  const failed = refused(tryHooks(object, btf));
  for (let rounds = 1; ; rounds++) {
    const choices = choose(kernel, failed);
    const session = Session.attach({
      object,
      ...(btf !== undefined && { btf }),
      rodata: rodata(options, enums),
      perfMap: 'events',
      ringBytes: ring_bytes,
      unwrittenMap: 'unwritten',
      first: 'existing_services',
      firstNetns: [...networkNamespaces().values()],
      skip: Object.fromEntries(
        notChosen(ALL_PROGRAMS, choices).map((name) => [name, 'not chosen']),
      ),
    });
    const broken = failures(session.programs(), choices);
    if (broken.size === 0) {
      return { session, header: header(session, choices, options, enums), rounds };
    }
    session.close();
    for (const [name, why] of broken) failed.set(name, why);
  }
}

function suitingRings(): number {
  const cpus = onlineCpus();
  return ringBytes(cpus, lockable_bytes(cpus));
}

/** Those of ASKED_FUNCTIONS that are there; the symbols, which take longer, tell of modules. */
function asked(btf: string | undefined): ReadonlySet<string> {
  const found = hasBtf(
    ASKED_FUNCTIONS.map((name) => ({ kind: 'func', name })),
    btf,
  );
  return found.every(Boolean) ? new Set(ASKED_FUNCTIONS) : presentFunctions(ASKED_FUNCTIONS);
}

function rodata(
  {
    filter,
    records_per_s,
    burst = records_per_s,
    every_record = false,
    toa_kinds = [],
  }: AttachOptions,
  enums: Enums,
): Record<string, Uint8Array> {
  const calls = SYSCALLS[process.arch] ?? {};
  return {
    ...filterRodata(filter),
    ...mibRodata(enums),
    ...toaRodata(toa_kinds),
    queued_meanwhile: u32(QUEUED_MEANWHILE * onlineCpus()),
    sample_interval_ns: u64(Math.round(1e9 / records_per_s)),
    sample_burst: u64(burst),
    every_record: Buffer.from([Number(every_record)]),
    ...Object.fromEntries(
      WATCHED_CALLS.map((call) => [`nr_${call}`, u32((calls[call] ?? -1) >>> 0)]),
    ),
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

function header(
  session: Session,
  choices: readonly Choice[],
  { filter, host_name }: AttachOptions,
  enums: Enums,
): Header {
  const sections = new Map(session.programs().map(({ name, section }) => [name, section]));
  const hook = ({ way }: Choice) =>
    [...new Set(way?.programs.map((name) => sections.get(name) ?? name))].join(' + ');
  return {
    magic: 'tcpwhy',
    format: 1,
    tcpwhy_version: VERSION,
    ...kernelIdentity(),
    ...(host_name === false && { host: '' }),
    ...hostNow(),
    start_ktime_ns: session.began_ns(),
    tier: tierOf(choices),
    hooks: [
      ...choices.map((choice) => ({
        fact: choice.fact,
        hook: hook(choice),
        reason: choice.reasons.join('; '),
      })),
      symbolsHook(),
      processHook(),
    ],
    enums: [
      enumTable('skb_drop_reason', 'SKB_DROP_REASON_', enums),
      enumTable('sk_rst_reason', 'SK_RST_REASON_', enums),
    ],
    filters: filterText(filter),
    netns: ownNetns(),
    run: String(randomBytes(8).readBigUInt64LE()),
    part: 1,
  };
}

function symbolsHook() {
  return showsSymbols()
    ? { fact: 'symbols', hook: '/proc/kallsyms', reason: '' }
    : { fact: 'symbols', hook: '', reason: 'kernel.kptr_restrict is 2, or CAP_SYSLOG is missing' };
}

function processHook() {
  return hasFirstPids()
    ? { fact: 'process', hook: '/proc', reason: '' }
    : { fact: 'process', hook: '', reason: OTHER_PIDS };
}

const OTHER_PIDS =
  'tcpwhy runs in a PID namespace (a container): numbers of processes that it tells are the host’s, which are others here; of sockets that were there before only those of its own namespaces are known';

/** What a header says that changes with time. */
export function hostNow() {
  return {
    clock_offset_ns: String(clockOffset_ns()),
    start_ktime_ns: monotonic_ns(),
    sysctls: readSysctls(),
    counters: readCounters(),
  };
}

/** The tier is that of the fact that differs most between the two. */
function tierOf(choices: readonly Choice[]): Tier {
  const decisive: Fact = 'syn_fate';
  return choices.find(({ fact }) => fact === decisive)?.way?.tier ?? 'tracepoints';
}

/** A kernel without the enum gives no reasons: 0 is what the programs write then. */
function enumTable(name: string, prefix: string, enums: Enums): EnumTable {
  const members = Object.entries(enums[name] ?? { [`${prefix}NOT_SPECIFIED`]: 0 });
  const names = members.map(([member, value]) => [String(value), member.replace(prefix, '')]);
  return { name, names: Object.fromEntries(names) };
}
