// SPDX-License-Identifier: Apache-2.0

import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { handedFile, readHanded } from './handed.ts';

export interface KernelSymbol {
  name: string;
  /** Empty: the kernel itself. */
  module: string;
}

/** Where names come from. */
export interface Sources {
  /** As /proc/kallsyms; whoever reads it may write to it. */
  symbols(): Uint8Array;
  /** As /proc/modules, then something that changes when its newest module is loaded again. */
  modules(): string;
}

/** Code that is mapped at once. Addresses have 16 hexadecimal digits; `end` is the first beyond. */
interface Region {
  /** Empty: the kernel itself. */
  module: string;
  begin: string;
  end: string;
}

interface Modules {
  /** The same while the same modules are loaded. */
  identity: string;
  regions: Region[];
}

/** A hundred thousand of them are kept for as long as tcpwhy runs: as bytes, not as objects. */
interface Table {
  /** In order. */
  addresses: BigUint64Array;
  /** Where in `names` the one at that address is; NO_FUNCTION ends the function before it. */
  places: Uint32Array;
  /** Each as `NAME\n` or `NAME\tMODULE\n`, one after the other. */
  names: Buffer;
}

const NO_FUNCTION = 2 ** 32 - 1;

/** A record of this tick may have been written while the one before it was drained. */
const TICKS_IN_DOUBT = 2;
/** How often the table is read until no module comes or goes meanwhile. */
const READS = 3;
/** Places that packets are freed at are a few dozen. */
const MOST_OWN = 1024;

/**
 * Functions of the running kernel by address. Modules are looked at once a tick; the table is read anew
 * when they have changed and an address is asked for that is not the kernel's own. Code that comes and
 * goes without notice, as that of BPF, is not named.
 */
export class Symbols {
  readonly #sources: Sources;
  #modules: Modules = { identity: '', regions: [] };
  #table: Table | null = null;
  /** Found in the kernel itself, which every other drop asks for again. */
  readonly #own = new Map<string, KernelSymbol | null>();
  #kernel: { region: Region; table: Table } | null = null;
  /** What was loaded when a record of this tick may have been written. */
  #before: { modules: Modules; table: Table | null; ticks: number }[] = [];

  constructor(sources: Sources = RUNNING) {
    this.#sources = sources;
    this.#modules = this.#look();
  }

  /** To be called once the records of a tick were drained, if there were any. True where addresses may be of something else now. */
  tick(): boolean {
    const before = this.#before.length;
    for (const one of this.#before) one.ticks--;
    this.#before = this.#before.filter(({ ticks }) => ticks > 0);
    const settled = this.#before.length < before;
    return this.#takeIn(this.#look()) || settled;
  }

  /**
   * The function that holds an address (decimal text) that a record of this tick has. Null where there is
   * none, where the kernel hides them, and where two modules were there since the last tick.
   */
  at(address: string): KernelSymbol | null {
    const known = this.#own.get(address);
    if (known !== undefined) return known;
    const wanted = BigInt(address).toString(16).padStart(16, '0');
    const kernel = this.#kernelItself();
    if (holds(kernel.region, wanted)) {
      const found = lookUp(kernel.table, kernel.region, wanted);
      if (this.#own.size >= MOST_OWN) this.#own.clear();
      this.#own.set(address, found);
      return found;
    }
    const table = this.#load();
    const region = regionOf(this.#modules, wanted);
    const others = this.#before.flatMap(({ modules, table }) => {
      const other = regionOf(modules, wanted);
      // What claims the address and is still there does so by the size of its data.
      const isThere = this.#modules.regions.some((one) => other && isSame(one, other));
      return other && !isThere ? [{ region: other, table }] : [];
    });
    const [gone] = others;
    if (!gone) return region && lookUp(table, region, wanted);
    const isAlone = !region && others.every(({ region: other }) => isSame(other, gone.region));
    return isAlone && gone.table ? lookUp(gone.table, gone.region, wanted) : null;
  }

  #look(): Modules {
    const identity = withoutCounts(this.#sources.modules());
    return identity === this.#modules.identity
      ? this.#modules
      : { identity, regions: parseModules(identity) };
  }

  /** True where they are other ones. */
  #takeIn(modules: Modules): boolean {
    if (modules === this.#modules) return false;
    this.#before.push({ modules: this.#modules, table: this.#table, ticks: TICKS_IN_DOUBT });
    this.#modules = modules;
    this.#table = null;
    return true;
  }

  #load(): Table {
    for (let reads = 0; !this.#table; reads++) {
      const table = tableOf(this.#sources.symbols());
      if (!this.#takeIn(this.#look()) || reads === READS) this.#table = table;
    }
    return this.#table;
  }

  /** It stays where it is. */
  #kernelItself() {
    if (!this.#kernel) {
      const table = this.#load();
      const at = (name: string) => {
        const index = table.places.indexOf(placeOf(table, `${name}\n`));
        return index < 0 ? '' : hexOf(table.addresses[index] as bigint);
      };
      this.#kernel = { region: { module: '', begin: at('_stext'), end: at('_etext') }, table };
    }
    return this.#kernel;
  }
}

const RUNNING: Sources = {
  symbols: () => procBytes('kallsyms'),
  modules() {
    const list = readProc('modules');
    const newest = list.slice(0, list.indexOf(' '));
    try {
      return `${list}${statSync(`/sys/module/${newest}`).ino}`;
    } catch {
      return list;
    }
  },
};

function readProc(name: string): string {
  return procBytes(name).toString('latin1');
}

/** None where it cannot be read. */
function procBytes(name: string): Buffer {
  try {
    return readHanded(`/proc/${name}`) ?? readFileSync(`/proc/${name}`);
  } catch {
    return Buffer.alloc(0);
  }
}

/** Whether the kernel shows the addresses of its functions to this process: else all are zero. */
export function showsSymbols(): boolean {
  const start = Buffer.alloc(64 << 10);
  const handed = handedFile('/proc/kallsyms');
  try {
    const fd = handed ?? openSync('/proc/kallsyms', 'r');
    const bytes = readSync(fd, start, 0, start.length, 0);
    if (fd !== handed) closeSync(fd);
    return /^0*[1-9a-f]/m.test(start.toString('latin1', 0, bytes));
  } catch {
    return false;
  }
}

/** Those of the functions that the kernel and its modules have now. */
export function presentFunctions(names: readonly string[]): Set<string> {
  const symbols = readProc('kallsyms');
  return new Set(names.filter((name) => new RegExp(` [tT] ${name}[\\t\\n]`).test(symbols)));
}

/** Without who uses each module, which changes all the time. */
function withoutCounts(modules: string): string {
  return modules.replace(/^(\S+ \d+) \S+ \S+/gm, '$1');
}

/** `NAME BYTES STATE 0xADDRESS`, one a line. Since 6.4 the bytes are those of its data too. */
function parseModules(text: string): Region[] {
  return [...text.matchAll(/^(\S+) (\d+) \S+ 0x([0-9a-f]+)/gm)].map(
    ([, module = '', bytes = '', address = '']) => ({
      module,
      begin: address.padStart(16, '0'),
      end: (BigInt(`0x${address}`) + BigInt(bytes)).toString(16).padStart(16, '0'),
    }),
  );
}

/** Where two claim an address, it is in the one that begins last. */
function regionOf({ regions }: Modules, address: string): Region | null {
  return regions
    .filter((region) => holds(region, address))
    .reduce<Region | null>((last, one) => (last && last.begin > one.begin ? last : one), null);
}

function holds({ begin, end }: Region, address: string): boolean {
  return begin <= address && address < end;
}

function isSame(a: Region, b: Region): boolean {
  return a.module === b.module && a.begin === b.begin && a.end === b.end;
}

/** The function at an address within a region, if it is one of that module. */
function lookUp({ addresses, places, names }: Table, { module }: Region, wanted: string) {
  const address = BigInt(`0x${wanted}`);
  let low = 0;
  let high = addresses.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((addresses[middle] as bigint) <= address) low = middle + 1;
    else high = middle;
  }
  const place = low > 0 ? (places[low - 1] as number) : NO_FUNCTION;
  if (place === NO_FUNCTION) return null;
  const found = symbolOf(names.toString('latin1', place, names.indexOf('\n', place)));
  return found.module === module ? found : null;
}

function symbolOf(text: string): KernelSymbol {
  const [name = '', module = ''] = text.split('\t');
  return { name, module: module.replace(/[[\]]/g, '') };
}

/** Of a function of the kernel itself that is there once; a place that none has where there is none. */
function placeOf({ names }: Table, line: string): number {
  if (names.subarray(0, line.length).equals(Buffer.from(line))) return 0;
  return names.indexOf(`\n${line}`) + 1 || NO_FUNCTION - 1;
}

function hexOf(address: bigint): string {
  return address.toString(16).padStart(16, '0');
}

/** Of the bytes of /proc/kallsyms, which are no longer there then. Empty where all addresses read as zero (kptr_restrict). */
function tableOf(kallsyms: Uint8Array): Table {
  const most = Math.ceil(kallsyms.length / SHORTEST_LINE);
  const addresses = new BigUint64Array(most);
  const places = new Uint32Array(most);
  let count = 0;
  let bytes = 0;
  let last_is_code = true;
  for (let from = 0, end = 0; from < kallsyms.length; from = end + 1) {
    end = kallsyms.indexOf(NEWLINE, from);
    if (end < 0) end = kallsyms.length;
    if (end - from < SHORTEST_LINE) continue;
    const address = (BigInt(hex(kallsyms, from)) << 32n) | BigInt(hex(kallsyms, from + 8));
    if (address === 0n) continue;
    // The end of the kernel's code is none on arm64.
    const isCode =
      CODE.has(kallsyms[from + 17] as number) || END.equals(kallsyms.subarray(from + NAME_AT, end));
    // The kernel's own come in order.
    if (!isCode && !last_is_code && !kallsyms.subarray(from, end).includes(TAB)) continue;
    last_is_code = isCode;
    addresses[count] = address;
    places[count++] = isCode ? bytes : NO_FUNCTION;
    if (!isCode) continue;
    kallsyms.copyWithin(bytes, from + NAME_AT, end);
    bytes += end - from - NAME_AT;
    kallsyms[bytes++] = NEWLINE;
  }
  // Of two at one address the function comes last, and is what is found there.
  const order = Array.from({ length: count }, (_, index) => index).sort((a, b) => {
    const [one, other] = [addresses[a] as bigint, addresses[b] as bigint];
    if (one !== other) return one < other ? -1 : 1;
    return places[a] === NO_FUNCTION ? -1 : 0;
  });
  return {
    addresses: BigUint64Array.from(order, (index) => addresses[index] as bigint),
    places: Uint32Array.from(order, (index) => places[index] as number),
    names: Buffer.from(kallsyms.subarray(0, bytes)),
  };
}

/** `ADDRESS TYPE NAME`, and behind a tab the module. */
const SHORTEST_LINE = 20;
const NAME_AT = 19;
const NEWLINE = 10;
const TAB = 9;
const CODE = new Set(Buffer.from('tTwW'));
const END = Buffer.from('_etext');

/** Eight digits. */
function hex(text: Uint8Array, at: number): number {
  let value = 0;
  for (let i = at; i < at + 8; i++) {
    const digit = text[i] as number;
    value = (value << 4) | (digit < 0x3a ? digit & 0xf : digit - 0x57);
  }
  return value >>> 0;
}
