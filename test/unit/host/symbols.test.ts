// SPDX-License-Identifier: Apache-2.0

import { beforeEach, expect, test } from 'vitest';
import { Symbols } from '../../../src/host/symbols.ts';

const KERNEL = `ffffffff81000000 T _text
ffffffff81000000 T _stext
ffffffff81000000 t local_one
ffffffff81000100 T tcp_v4_rcv
ffffffff81000200 W weak_one
ffffffff81000300 T _etext
ffffffff81000400 D some_data
ffffffff81000500 T of_the_start_only
`;
const BPF = 'ffffffffc0000000 t bpf_prog_6deef7357e7b4530\t[bpf]\n';
const A = `ffffffffc0001000 t inet_getname_a\t[toa_a]
ffffffffc0001080 t stats_show_a\t[toa_a]
ffffffffc0002000 d data_of_a\t[toa_a]
`;
const B = `ffffffffc0001000 t inet_getname_b\t[toa_b]
ffffffffc0001040 t stats_show_b\t[toa_b]
`;
const IN_A = 'toa_a 12288 0 - Live 0xffffffffc0001000 (OE)\n';
const IN_B = 'toa_b 12288 0 - Live 0xffffffffc0001000 (OE)\n';

let kallsyms: string;
let modules: string;
let reads: number;
let symbols: Symbols;

beforeEach(() => {
  load('', '');
  reads = 0;
  symbols = new Symbols({
    symbols() {
      reads++;
      return Buffer.from(kallsyms);
    },
    modules: () => modules,
  });
});

function load(listed: string, has: string): void {
  modules = listed;
  kallsyms = KERNEL + BPF + has;
}

/** As it stands in a record: decimal. */
function at(address: bigint): string | null {
  const found = symbols.at(String(address));
  return found && `${found.name}${found.module && ` [${found.module}]`}`;
}

/** Until no record of before can come. */
function settle(): void {
  symbols.tick();
  symbols.tick();
  symbols.tick();
}

test('where the end of the kernel’s code is data, as on arm64', () => {
  kallsyms = KERNEL.replace('T _etext', 'D _etext');
  expect(at(0xffffffff81000110n)).toBe('tcp_v4_rcv');
  expect(at(0xffffffff81000310n)).toBeNull();
});

test('a function from its beginning to the next symbol', () => {
  expect(at(0xffffffff81000100n)).toBe('tcp_v4_rcv');
  expect(at(0xffffffff810001ffn)).toBe('tcp_v4_rcv');
  expect(at(0xffffffff81000200n)).toBe('weak_one');
  expect(at(0xffffffff810002ffn)).toBe('weak_one');
});

test.each([
  ['before the kernel', 0xffffffff80ffffffn],
  ['behind its text', 0xffffffff81000300n],
  ['data', 0xffffffff81000410n],
  ['code that is gone since the start', 0xffffffff81000510n],
  ['code of BPF', 0xffffffffc0000010n],
  ['no module', 0xffffffffc0001010n],
  ['user space', 0x7f0000000000n],
  ['the last address', 0xffffffffffffffffn],
])('nothing for %s', (_what, address) => {
  expect(at(address)).toBe(null);
});

test('nothing where the kernel hides its addresses', () => {
  kallsyms = '0000000000000000 T tcp_v4_rcv\n';
  expect(at(0xffffffff81000100n)).toBe(null);
});

test('a module that was loaded after the table was read', () => {
  expect(at(0xffffffffc0001010n)).toBe(null);
  load(IN_A, A);
  expect(symbols.tick()).toBe(true);
  expect(at(0xffffffffc0001010n)).toBe('inet_getname_a [toa_a]');
  expect(at(0xffffffffc000107fn)).toBe('inet_getname_a [toa_a]');
  expect(at(0xffffffffc0001fffn)).toBe('stats_show_a [toa_a]');
  expect(at(0xffffffffc0002000n)).toBe(null);
});

test('nothing behind the end of a module', () => {
  load(IN_B, B);
  settle();
  expect(at(0xffffffffc0003fffn)).toBe('stats_show_b [toa_b]');
  expect(at(0xffffffffc0004000n)).toBe(null);
});

test('a module in the place of another: neither, until the records of before are through', () => {
  load(IN_A, A);
  settle();
  expect(at(0xffffffffc0001090n)).toBe('stats_show_a [toa_a]');
  load(IN_B, B);
  expect(symbols.tick()).toBe(true);
  expect(at(0xffffffffc0001090n)).toBe(null);
  expect(symbols.tick()).toBe(false);
  expect(at(0xffffffffc0001090n)).toBe(null);
  expect(symbols.tick()).toBe(true);
  expect(at(0xffffffffc0001090n)).toBe('stats_show_b [toa_b]');
  expect(symbols.tick()).toBe(false);
});

test('a module in what another claims for its data, as soon as it is there', () => {
  const wide = 'toa_a 16384 0 - Live 0xffffffffbfffe000 (OE)\n';
  load(wide, '');
  settle();
  expect(at(0xffffffffc0001010n)).toBe(null);
  load(IN_B + wide, B);
  expect(symbols.tick()).toBe(true);
  expect(at(0xffffffffc0001010n)).toBe('inet_getname_b [toa_b]');
});

test('a module that goes: what was written before is still its own', () => {
  load(IN_A, A);
  settle();
  expect(at(0xffffffffc0001010n)).toBe('inet_getname_a [toa_a]');
  load('', '');
  expect(symbols.tick()).toBe(true);
  expect(at(0xffffffffc0001010n)).toBe('inet_getname_a [toa_a]');
  settle();
  expect(at(0xffffffffc0001010n)).toBe(null);
});

test('the same module, loaded again at the same place', () => {
  load(`${IN_A}7`, A);
  settle();
  expect(at(0xffffffffc0001090n)).toBe('stats_show_a [toa_a]');
  load(`${IN_A}8`, 'ffffffffc0001000 t inet_getname_a\t[toa_a]\n');
  expect(symbols.tick()).toBe(true);
  settle();
  expect(at(0xffffffffc0001090n)).toBe('inet_getname_a [toa_a]');
});

test('who uses a module says nothing of it', () => {
  load(IN_A, A);
  settle();
  modules = IN_A.replace(' 0 - ', ' 1 toa_user, ');
  expect(symbols.tick()).toBe(false);
});

test('a module that is loaded while the table is read', () => {
  symbols = new Symbols({
    symbols() {
      const before = kallsyms;
      if (reads++ === 0) load(IN_A, A);
      return Buffer.from(before);
    },
    modules: () => modules,
  });
  expect(at(0xffffffffc0001010n)).toBe('inet_getname_a [toa_a]');
  expect(reads).toBe(2);
});

test('the table is read once after each change, and not for the kernel’s own', () => {
  for (let i = 0n; i < 100n; i++) at(0xffffffffc0001000n + i);
  expect(reads).toBe(1);
  load(IN_A, A);
  symbols.tick();
  for (let i = 0n; i < 100n; i++) at(0xffffffff81000100n + i);
  expect(reads).toBe(1);
  for (let i = 0n; i < 100n; i++) at(0xffffffffc0001000n + i);
  for (let i = 0n; i < 100n; i++) at(0xffffffffd0001000n + i);
  expect(reads).toBe(2);
});
