// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';

export interface KernelSymbol {
  name: string;
  /** Empty: the kernel itself. */
  module: string;
}

/** Functions of the running kernel by address, from /proc/kallsyms, which is read at the first question. */
export class Symbols {
  #table: { addresses: string[]; symbols: KernelSymbol[] } | null = null;

  /** The function that holds an address (decimal text), or null where the kernel hides them. */
  at(address: string): KernelSymbol | null {
    const { addresses, symbols } = this.#load();
    const wanted = BigInt(address).toString(16).padStart(16, '0');
    let low = 0;
    let high = addresses.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((addresses[middle] as string) <= wanted) low = middle + 1;
      else high = middle;
    }
    return low > 0 ? (symbols[low - 1] ?? null) : null;
  }

  /** Whether the kernel shows the addresses of its functions to this process. */
  get readable(): boolean {
    return this.#load().addresses.length > 0;
  }

  /** Forgets the table: a module was loaded or unloaded. */
  reload(): void {
    this.#table = null;
  }

  #load() {
    if (!this.#table) {
      const rows = parseKallsyms(readKallsyms());
      this.#table = {
        addresses: rows.map(([address]) => address),
        symbols: rows.map(([, symbol]) => symbol),
      };
    }
    return this.#table;
  }
}

function readKallsyms(): string {
  try {
    return readFileSync('/proc/kallsyms', 'latin1');
  } catch {
    return '';
  }
}

/** Those of the functions that the kernel and its modules have now. */
export function presentFunctions(names: readonly string[]): Set<string> {
  const wanted = new Set(names);
  const rows = readKallsyms().matchAll(/^[0-9a-f]+ [tT] (\S+)/gm);
  return new Set([...rows].flatMap(([, name = '']) => (wanted.has(name) ? [name] : [])));
}

/** Text symbols in order of address; none where all addresses read as zero (kptr_restrict). */
export function parseKallsyms(text: string): [string, KernelSymbol][] {
  const rows: [string, KernelSymbol][] = [];
  for (const line of text.split('\n')) {
    const type = line[17];
    if (
      (type !== 't' && type !== 'T' && type !== 'W' && type !== 'w') ||
      line.startsWith('0000000000000000')
    )
      continue;
    const [name = '', module = ''] = line.slice(19).split('\t');
    rows.push([line.slice(0, 16), { name, module: module.replace(/[[\]]/g, '') }]);
  }
  return rows.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}
