// SPDX-License-Identifier: Apache-2.0

import { dirname, join } from 'node:path';
import { isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';
import { loadBinding } from '@node-rs/helper';
import { builtFile } from '../host/built.ts';

export interface AttachOptions {
  /** Path of the linked BPF object. */
  object: string;
  /** Path of a BTF file to relocate against instead of the running kernel's. */
  btf?: string;
  /** Bytes of `const volatile` variables by name, each exactly as long as the variable. */
  rodata?: Record<string, Uint8Array>;
  /** The map that records are written to, a BPF_MAP_TYPE_PERF_EVENT_ARRAY. */
  perfMap: string;
  /** Bytes of each CPU's ring, a power of two; at least a page. */
  ringBytes: number;
  /** A per-CPU array that counts what could not be written: enum unwritten of bpf/include/maps.h. */
  unwrittenMap?: string;
  /** Programs not to load, each with the reason `programs()` shall give. */
  skip?: Record<string, string>;
  /** An iterator to run before anything is attached, if it could be loaded: what it writes is dropped. */
  first?: string;
  /** Paths of the network namespaces to run it in; one that is gone is left out. */
  firstNetns?: string[];
}

export interface ProgramState {
  name: string;
  /** The ELF section: `tp_btf/kfree_skb`, `iter/tcp`. */
  section: string;
  /** In the kernel, verified. */
  loaded: boolean;
  /** Running on its hook; never so for an iterator, which runs when asked. */
  attached: boolean;
  /** Why it is not loaded or not attached, in one line. */
  error: string | null;
}

export interface Drained {
  /** So many bytes of whole records one after another: a length-delimited protobuf stream. */
  bytes: number;
  /** Records that could not be written since the last round of drains began, by CPU number. */
  lost: number[];
  /** Samples dropped for not being a record. */
  malformed: number;
  /** Of what was there when this round of drains began there is more: drain again. */
  more: boolean;
}

/** Why waiting ended: somebody asks, there is something to drain, the time is over. */
export type Waited = 'asked' | 'written' | 'over';

export interface MapEntry {
  key: Buffer;
  /** One value, or one for each possible CPU if the map is per-CPU. */
  values: Buffer[];
}

/** A number for each loaded program. */
export interface Counted {
  name: string;
  count: number;
}

export interface BpfProgram {
  id: number;
  /** Its first 15 characters; empty where it has none, or is gone. */
  name: string;
}

export interface HookedProgram extends BpfProgram {
  /** `tcx ingress`, `cgroup egress`. */
  hook: string;
}

export interface BtfName {
  kind: 'func' | 'typedef' | 'struct';
  name: string;
}

/** What `code` an error of this module can have. Other errno names come from the kernel. */
export type ErrorCode =
  | 'EPERM'
  | 'ENOENT'
  | 'ENOBTF'
  | 'EINVAL'
  | 'ECLOSED'
  | 'ENOADDON'
  | (string & {});

/** What was counted of each key, over all CPUs. */
export interface KeyRows {
  /**
   * For each key 32 bytes: the key (0: what found no room of its own), count and pending in 8 bytes, kind
   * and reason in 4.
   */
  rows: Buffer;
  /** How many places of the maps were read. */
  places: number;
}

interface PackedMap {
  keys: Buffer;
  values: Buffer;
  keySize: number;
  valueSize: number;
  perKey: number;
}

interface NativeSession {
  programs(): ProgramState[];
  beganNs(): number;
  drain(into: Uint8Array): Drained;
  wait(fd: number, lookMs: number, atMostMs: number): Waited;
  readMap(name: string): PackedMap;
  totals(whole: boolean): KeyRows;
  readKeys(name: string, keys: Uint8Array): PackedMap;
  deleteKeys(name: string, keys: Uint8Array[]): void;
  writeMap(name: string, key: Uint8Array, value: Uint8Array): void;
  runIterator(program: string, netns?: string): Buffer;
  missed(): Counted[];
  verified(): Counted[];
  detach(): void;
  close(): void;
}

interface Addon {
  Session: { attach(options: AttachOptions): NativeSession };
  tryHooks(object: string, btf?: string): ProgramState[];
  kernelEnums(
    names: string[],
    anonymousWith: string[],
    btf?: string,
  ): Record<string, Record<string, number>>;
  hasBtf(names: BtfName[], btf?: string): boolean[];
  parameterCounts(names: string[], btf?: string): Record<string, number>;
  getpeernamePrograms(cgroup: string): BpfProgram[];
  devicePrograms(ifindex: number, netns?: string): HookedProgram[];
  cgroupPrograms(cgroup: string): HookedProgram[];
  lookupPrograms(netns: string): HookedProgram[];
  programsOfTypes(types: number[]): BpfProgram[];
  programName(id: number): string;
  programLoadedNs(id: number): number;
  pinnedProgram(path: string): number | null;
  netlink(family: number, requests: Uint8Array[], netns?: string): Buffer[];
  netlinkStrict(requests: Uint8Array[], netns?: string): Buffer[];
  ipTable(name: string, isV6: boolean, netns?: string): Buffer | null | undefined;
  securityModules(): number[];
  deviceName(ifindex: number, netns?: string): string | null;
  netnsFiles(names: string[], netns?: string): (string | null | undefined)[];
  netnsRefused(): number;
  netnsCpuMs(): number;
  hostRefused(): number;
  pipe(): [number, number];
  boundCapabilities(kept: number[]): void;
  keepCapabilities(): void;
  limitCapabilities(kept: number[]): void;
  lockWithoutLimit(): boolean;
  connectToRoot(path: string): number;
  waitAtMost(socket: number, seconds: number): void;
  awaitAnswer(fd: number, most_s: number | undefined, asked_s: number): boolean;
  confine(half: Half): void;
  possibleCpus(): number;
  onlineCpus(): number;
  clockOffsetNs(): bigint;
  MAX_DRAINED: number;
}

let addon: unknown;

/** The addon, loaded at its first use: what reads recordings must run without it. */
export function loadAddon<T>(): T {
  addon ??= load();
  return addon as T;
}

function load(): unknown {
  if (isSea()) return loadFrom(builtFile('tcpwhy.node'));
  const here = dirname(fileURLToPath(import.meta.url));
  const reasons: string[] = [];
  for (const directory of [here, join(here, '..', '..', 'build')]) {
    try {
      return loadBinding(directory, 'tcpwhy');
    } catch (error) {
      const reason = error instanceof Error ? error.message.trim() : String(error);
      reasons.push(`${directory}: ${reason}`);
    }
  }
  const message =
    `cannot load the native addon tcpwhy.*.node for ${process.platform} ${process.arch}; ` +
    `build it with \`make\` on this kind of machine. Tried ${reasons.join('; ')}`;
  throw Object.assign(new Error(message), { code: 'ENOADDON' satisfies ErrorCode });
}

function loadFrom(path: string): unknown {
  const module = { exports: {} };
  try {
    process.dlopen(module, path);
  } catch (error) {
    const message = `cannot load the native addon that is in this file: ${(error as Error).message}`;
    throw Object.assign(new Error(message), { code: 'ENOADDON' satisfies ErrorCode });
  }
  return module.exports;
}

const native = () => loadAddon<Addon>();

/** BPF programs attached to this kernel. Nothing is pinned: all of it ends with the process. */
export class Session {
  readonly #session: NativeSession;

  private constructor(session: NativeSession) {
    this.#session = session;
  }

  /**
   * Loads the object and attaches every program that can be; `programs` says which, and why not the
   * others. Throws with `code` EPERM (this process may load nothing), ENOENT (no object), ENOBTF,
   * EINVAL (an option that does not fit the object), or the errno of what the kernel refused.
   */
  static attach(options: AttachOptions): Session {
    return new Session(native().Session.attach({ ...options, rodata: options.rodata ?? {} }));
  }

  /** Every program of the object, in its order. Works on a closed session too. */
  programs(): ProgramState[] {
    return this.#session.programs().map(withError);
  }

  /**
   * CLOCK_MONOTONIC in nanoseconds just before the first program was attached: nothing that they write is
   * older.
   */
  began_ns(): number {
    return this.#session.beganNs();
  }

  /**
   * Takes what the programs have written by now, at most about 16 MiB, without waiting, to the beginning
   * of `into`, which has room for maxDrained() bytes. Where that is not all (`more`), the calls that follow
   * take the rest of it, and nothing that is written meanwhile. Records of one CPU are in order, those of
   * different CPUs are not. CPUs that come online get a ring within a second.
   */
  drain(into: Uint8Array): Drained {
    return this.#session.drain(into);
  }

  /**
   * Waits until something can be read of `fd`, or there is something to drain: as soon as that is much, or the clock
   * was set, else where there is any at one of the looks, each `look_ms`.
   */
  wait(fd: number, look_ms: number, at_most_ms: number): Waited {
    return this.#session.wait(fd, look_ms, at_most_ms);
  }

  /**
   * A whole map. Entries that come or go meanwhile may be missed; none is returned twice. Of an
   * array, places of zeros are left out.
   */
  readMap(name: string): MapEntry[] {
    return unpack(this.#session.readMap(name));
  }

  /**
   * The programs' totals, summed over all CPUs. All of their maps is read with `whole`, else only the
   * places in use, where these are few.
   */
  totals(whole: boolean): KeyRows {
    return this.#session.totals(whole);
  }

  /** Some keys of a map, which stand one after another in `keys`; those it lacks are left out. */
  readKeys(name: string, keys: Uint8Array): MapEntry[] {
    return unpack(this.#session.readKeys(name, keys));
  }

  /** Deletes keys from a map; those it does not have are no error. */
  deleteKeys(name: string, keys: Uint8Array[]): void {
    this.#session.deleteKeys(name, keys);
  }

  /** Sets one value of a map that is not per-CPU. */
  writeMap(name: string, key: Uint8Array, value: Uint8Array): void {
    this.#session.writeMap(name, key, value);
  }

  /**
   * Runs an iterator program to its end and returns what it wrote. An iterator over sockets sees
   * one network namespace: that at path `netns`, or ours.
   */
  runIterator(program: string, netns?: string): Buffer {
    return this.#session.runIterator(program, netns);
  }

  /** How often the kernel skipped each loaded program because it was already running on that CPU. */
  missed(): Counted[] {
    return this.#session.missed();
  }

  /** Instructions the verifier went through for each loaded program; 0 before Linux 5.16. */
  verified(): Counted[] {
    return this.#session.verified();
  }

  /** Detaches every program; what they wrote can still be drained and their maps read. */
  detach(): void {
    this.#session.detach();
  }

  /** Detaches and unloads everything. Closing twice is fine. */
  close(): void {
    this.#session.close();
  }
}

/**
 * Every program of a BPF object; those that cannot run here have their error, as far as programs of two
 * instructions at the same hooks tell. Nothing is attached, and nothing of the object loaded. Throws as
 * Session.attach().
 */
export function tryHooks(object: string, btf?: string): ProgramState[] {
  return native().tryHooks(object, btf).map(withError);
}

function withError(state: ProgramState): ProgramState {
  return { ...state, error: state.error ?? null };
}

function unpack({ keys, values, keySize, valueSize, perKey }: PackedMap): MapEntry[] {
  const slice = (bytes: Buffer, size: number, at: number) =>
    bytes.subarray(at * size, (at + 1) * size);
  return Array.from({ length: keys.length / keySize }, (_, entry) => ({
    key: slice(keys, keySize, entry),
    values: Array.from({ length: perKey }, (_, cpu) =>
      slice(values, valueSize, entry * perKey + cpu),
    ),
  }));
}

/** Bytes that one drain takes at most. */
export function maxDrained(): number {
  return native().MAX_DRAINED;
}

/**
 * Members and numbers of kernel enums: those called one of `names`, and, of the anonymous ones,
 * those with a member of `anonymousWith`. Keyed by the name or member asked for; what this kernel
 * does not have is left out. Throws ENOBTF.
 */
export function kernelEnums(
  names: string[],
  anonymousWith: string[] = [],
  btf?: string,
): Record<string, Record<string, number>> {
  return native().kernelEnums(names, anonymousWith, btf);
}

/** For each name, whether the kernel's BTF has it. Throws ENOBTF. */
export function hasBtf(names: BtfName[], btf?: string): boolean[] {
  return native().hasBtf(names, btf);
}

/**
 * How many parameters each has on this kernel: a function by its name, a tracepoint as
 * `tracepoint:NAME` (what BPF sees of it). What the kernel lacks is left out. Throws ENOBTF.
 */
export function parameterCounts(names: string[], btf?: string): Record<string, number> {
  return native().parameterCounts(names, btf);
}

/**
 * Programs attached to exactly this cgroup (its folder) that may change what getpeername() returns.
 * Throws the kernel's errno: EINVAL where the folder is no cgroup2.
 */
export function getpeernamePrograms(cgroup: string): BpfProgram[] {
  return native().getpeernamePrograms(cgroup);
}

/**
 * Programs at the tcx and netkit hooks of a device, in the namespace at `netns` or in ours. Throws the errno
 * of entering the namespace.
 */
export function devicePrograms(ifindex: number, netns?: string): HookedProgram[] {
  return native().devicePrograms(ifindex, netns);
}

/** Programs attached to exactly this cgroup (its folder) that see what its sockets send and receive, or dial. */
export function cgroupPrograms(cgroup: string): HookedProgram[] {
  return native().cgroupPrograms(cgroup);
}

/** Programs that choose sockets for what arrives in the namespace at this path. */
export function lookupPrograms(netns: string): HookedProgram[] {
  return native().lookupPrograms(netns);
}

/** Every program of these types (enum bpf_prog_type) that this kernel has. */
export function programsOfTypes(types: number[]): BpfProgram[] {
  return native().programsOfTypes(types);
}

/** Empty where the program has no name, or is gone. */
export function programName(id: number): string {
  return native().programName(id);
}

/** CLOCK_MONOTONIC when a program was loaded; 0: it is gone. */
export function programLoaded_ns(id: number): number {
  return native().programLoadedNs(id);
}

/** The program that a file of a BPF file system has pinned, by itself or by its link; null: none. */
export function pinnedProgram(path: string): number | null {
  return native().pinnedProgram(path) ?? null;
}

/**
 * Sends netlink messages of a family (0: rtnetlink) in the namespace at `netns`, or in ours: for each the
 * messages of its answer, one after another, none where the kernel refused it. Throws the errno of entering
 * the namespace.
 */
export function netlink(family: number, requests: Uint8Array[], netns?: string): Buffer[] {
  return native().netlink(family, requests, netns);
}

/**
 * The same of rtnetlink, where a dump is of what its request asks for and not of everything, and a refusal
 * is a message that has the errno (NLMSG_ERROR).
 */
export function netlinkStrict(requests: Uint8Array[], netns?: string): Buffer[] {
  return native().netlinkStrict(requests, netns);
}

/**
 * A table of iptables-legacy that is there, in the namespace at `netns` or in ours: struct ipt_getinfo, then
 * its entries; null where that is too much. Throws the errno of entering the namespace, or of asking.
 */
export function ipTable(name: string, isV6: boolean, netns?: string): Buffer | null {
  return native().ipTable(name, isV6, netns) ?? null;
}

/** LSM_ID_* of the security modules that are active; empty where the kernel does not tell (before 6.8). */
export function securityModules(): number[] {
  return native().securityModules();
}

/**
 * Name of a network device by its number, in the namespace at `netns` or in ours; null where there is
 * none. Throws the errno of entering the namespace.
 */
export function deviceName(ifindex: number, netns?: string): string | null {
  return native().deviceName(ifindex, netns);
}

/**
 * Files of /proc as they are in the namespace at `netns`, or in ours; null for what cannot be read. Those of
 * /proc/net are in thread-self/net. Throws the errno of entering the namespace.
 */
export function netnsFiles(names: string[], netns?: string): (string | null)[] {
  return native()
    .netnsFiles(names, netns)
    .map((text) => text ?? null);
}

/** How often this process could not enter a network namespace that is there. */
export function netnsRefused(): number {
  return native().netnsRefused();
}

/** What threads that entered a namespace have run on a CPU, the kernel's answers included, in ms. */
export function netnsCpu_ms(): number {
  return native().netnsCpuMs();
}

/** How often this process was refused what it asked for of rules and programs. */
export function hostRefused(): number {
  return native().hostRefused();
}

/** How many CPUs this machine may ever have: the length of a per-CPU map's `values`. */
export function possibleCpus(): number {
  return native().possibleCpus();
}

/** Wall clock minus CLOCK_MONOTONIC in nanoseconds, now. */
export function clockOffset_ns(): bigint {
  return native().clockOffsetNs();
}

/** How many CPUs are running now. */
export function onlineCpus(): number {
  return native().onlineCpus();
}

/**
 * Which half of tcpwhy a process is: who reads the kernel, or all the rest; what tells a collector connects, and
 * what serves metrics listens too.
 */
export type Half = 'reader' | 'front' | 'teller' | 'server';

/** Both ends of a new pipe, as descriptors, which programs that are run have only where they are given them. */
export function pipe(): { from: number; to: number } {
  const [from, to] = native().pipe();
  return { from, to };
}

/**
 * What this process runs from here on has no capabilities but these numbers of capabilities(7), not even as
 * root. Throws EPERM.
 */
export function boundCapabilities(kept: number[]): void {
  native().boundCapabilities(kept);
}

/** What this thread may have stays so when the process becomes another user. */
export function keepCapabilities(): void {
  native().keepCapabilities();
}

/** This thread, and what it begins, has these capabilities from here on, of those it may have, and no others. */
export function limitCapabilities(kept: number[]): void {
  native().limitCapabilities(kept);
}

/** Lets what this process runs from here on lock as much memory as it asks for; false without CAP_SYS_RESOURCE. */
export function lockWithoutLimit(): boolean {
  return native().lockWithoutLimit();
}

/**
 * A connection to a socket that root made, as a descriptor. Throws the errno of connecting; EPERM where the
 * socket is somebody else's.
 */
export function connectToRoot(path: string): number {
  return native().connectToRoot(path);
}

/** From here on reading from this socket, and writing to it, throws EAGAIN where nothing moved for so long. */
export function waitAtMost(socket: number, seconds: number): void {
  native().waitAtMost(socket, seconds);
}

/**
 * Waits until there is something to read, or the other end is closed: true. False: there was nothing for `most_s`
 * seconds, or for `asked_s` after a signal asked this process to end; without `most_s` only a signal ends the wait.
 */
export function awaitAnswer(fd: number, most_s: number | null, asked_s: number): boolean {
  return native().awaitAnswer(fd, most_s ?? undefined, asked_s);
}

/**
 * Gives up for good the system calls that this half has no use for, and that programs which are run could
 * have more privileges. Throws the errno of what the kernel refused.
 */
export function confine(half: Half): void {
  native().confine(half);
}
