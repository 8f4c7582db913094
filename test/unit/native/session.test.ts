// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type AttachOptions,
  maxDrained,
  onlineCpus,
  possibleCpus,
  Session,
  tryHooks,
} from '../../../src/native/binding.ts';
import { must, Socket } from '../../../src/native/sockets.ts';

const root = process.getuid?.() === 0;
const getppid = { x64: 110n, arm64: 173n }[process.arch as 'x64' | 'arm64'];

describe.skipIf(!root)('a session (needs root)', () => {
  let directory: string;
  let object: string;
  let session: Session | undefined;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'tcpwhy-'));
    object = join(directory, 'fixture.bpf.o');
    const source = join(import.meta.dirname, 'fixture.bpf.c');
    const flags = ['-target', 'bpf', '-mcpu=v3', '-g', '-O2', '-c', source, '-o', object];
    execFileSync('clang-22', flags);
  });
  afterEach(() => session?.close());
  afterAll(() => rmSync(directory, { recursive: true }));

  const attach = (options: Partial<AttachOptions> = {}): Session => {
    const rodata = { pid: u32(process.pid), syscall: u64(getppid ?? 0n), ...options.rodata };
    session = Session.attach({
      object,
      perfMap: 'events',
      unwrittenMap: 'unwritten',
      ringBytes: 32768,
      ...options,
      rodata,
    });
    return session;
  };

  const into = Buffer.alloc(maxDrained());
  const drain = (live: Session) => {
    const { bytes, ...more } = live.drain(into);
    return { ...more, records: Buffer.from(into.subarray(0, bytes)) };
  };

  it('attaches what can be and keeps a reason for the rest', () => {
    const programs = attach({ skip: { skipped: 'not wanted here' } }).programs();
    const fates = programs.map(({ name, loaded, attached, error }) => [
      name,
      loaded,
      attached,
      error,
    ]);
    expect(fates).toHaveLength(7);
    expect(fates).toEqual(
      expect.arrayContaining([
        ['on_call', true, true, null],
        ['local_ports', true, false, null],
        ['no_hook', false, false, 'this kernel has no tracepoint no_such_tracepoint'],
        ['refused', false, false, expect.stringMatching(/^rejected by the verifier: .*off=800/)],
        ['missing_member', false, false, 'this kernel has no struct sk_buff.no_such_member'],
        ['no_raw_hook', true, false, expect.stringContaining('no such target')],
        ['skipped', false, false, 'not wanted here'],
      ]),
    );
    for (const { error } of programs) expect(error ?? '').not.toContain('\n');
  });

  it('tells of the hooks before anything is loaded', () => {
    const tried = tryHooks(object);
    for (const { loaded, attached } of tried)
      expect({ loaded, attached }).toEqual({ loaded: false, attached: false });
    expect(tried.map(({ name, error }) => [name, error])).toEqual(
      expect.arrayContaining([
        ['on_call', null],
        ['local_ports', null],
        ['no_hook', 'this kernel has no tracepoint no_such_tracepoint'],
        ['refused', null],
      ]),
    );
    const none = () => tryHooks('/nowhere/fixture.bpf.o');
    expect(none).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });

  it('loads an object again and again, one of its programs refused each time', () => {
    for (let time = 0; time < 7; time++) {
      const programs = attach().programs();
      expect(programs.filter(({ loaded }) => loaded)).toHaveLength(4);
      session?.close();
    }
  });

  it('relocates against a BTF file that is given', () => {
    const programs = attach({ btf: '/sys/kernel/btf/vmlinux' }).programs();
    expect(programs).toContainEqual(expect.objectContaining({ name: 'on_call', attached: true }));
    const attachToNone = () => attach({ btf: '/nowhere/vmlinux' });
    expect(attachToNone).toThrow(expect.objectContaining({ code: 'ENOBTF' }));
  });

  it('drains whole records without the padding', () => {
    const live = attach();
    drain(live);
    call(7);
    const { records, lost, malformed, more } = drain(live);
    expect(records.length).toBe(7 * 16);
    for (let at = 0; at < records.length; at += 16) {
      expect(records.subarray(at, at + 4)).toEqual(Buffer.from([0x8c, 0x80, 0x80, 0x00]));
      expect(records.readUInt32LE(at + 4)).toBe(process.pid);
      expect(records.readBigUInt64LE(at + 8)).toBe(BigInt(at / 16));
    }
    expect(lost).toEqual(new Array(possibleCpus()).fill(0));
    expect({ malformed, more }).toEqual({ malformed: 0, more: false });
    expect(drain(live).records).toHaveLength(0);
  });

  it('asks for room', () => {
    const short = into.subarray(1);
    expect(() => attach().drain(short)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });

  it('counts and drops samples that are no records', () => {
    const live = attach({ rodata: { length_byte: Buffer.from([0xff]) } });
    call(5);
    expect(drain(live)).toMatchObject({ malformed: 5, records: Buffer.alloc(0) });
  });

  it('accounts for every record when a ring overflows', () => {
    const live = attach({ ringBytes: 4096, rodata: { records_per_call: u32(199) } });
    let records = 0;
    let lost = 0;
    const take = () => {
      const drained = drain(live);
      records += drained.records.length / 16;
      lost += sum(drained.lost);
    };
    for (let round = 0; round < 11; round++) {
      call(3);
      take();
    }
    live.detach();
    take();
    expect(records).toBeGreaterThan(0);
    expect(lost).toBeGreaterThan(0);
    expect(records + lost).toBe(11 * 3 * 199);
  });

  // 64 MiB a CPU, for only half of a ring this full is records.
  it.skipIf(onlineCpus() > 4)('bounds one drain and keeps the rest for the next', () => {
    const live = attach({ ringBytes: 64 << 20, rodata: { records_per_call: u32(256) } });
    call(4500);
    live.detach();
    const drained: ReturnType<typeof drain>[] = [];
    do drained.push(drain(live));
    while (drained.at(-1)?.more);
    expect(drained.length).toBeGreaterThan(1);
    for (const { records } of drained) expect(records.length).toBeLessThan((16 << 20) + 65536);
    const records = sum(drained.map(({ records }) => records.length / 16));
    const lost = sum(drained.flatMap(({ lost }) => lost));
    expect(records + lost).toBe(4500 * 256);
  });

  it.skipIf(onlineCpus() > 4)('takes what was there when it began, however fast more comes', () => {
    const live = attach({ ringBytes: 64 << 20, rodata: { records_per_call: u32(256) } });
    const round = (more: () => void) => {
      let records = 0;
      for (;;) {
        const drained = drain(live);
        records += drained.records.length / 16;
        expect(sum(drained.lost)).toBe(0);
        if (!drained.more) return records;
        more();
      }
    };
    call(4200);
    let drains = 1;
    const first = round(() => {
      call(100);
      drains++;
    });
    expect(drains).toBe(2);
    expect(first).toBe(4200 * 256);
    expect(round(() => {})).toBe(100 * 256);
  });

  it('opens a ring anew where the kernel has lost it, as with a CPU that was offline', () => {
    using _ = pinned();
    const live = attach();
    const lose = () =>
      live.deleteKeys(
        'events',
        Array.from({ length: possibleCpus() }, (_, cpu) => u32(cpu)),
      );
    const take = () => {
      const { records, lost, more } = drain(live);
      return { records: records.length / 16, lost: sum(lost), more };
    };
    lose();
    call(5);
    expect(take()).toEqual({ records: 0, lost: 5, more: false });
    call(4);
    // What is in one is taken before it goes.
    lose();
    call(3);
    expect(take()).toEqual({ records: 4, lost: 3, more: false });
    expect(take()).toEqual({ records: 0, lost: 0, more: false });
    call(7);
    expect(take()).toEqual({ records: 7, lost: 0, more: false });
  });

  it('reads a per-CPU map as one value for each possible CPU', () => {
    const live = attach();
    call(3);
    const [entry, ...others] = live.readMap('calls');
    expect(others).toEqual([]);
    expect(entry?.key).toEqual(u64(getppid ?? 0n));
    expect(entry?.values.map((value) => value.length)).toEqual(new Array(possibleCpus()).fill(5));
    expect(sum(entry?.values.map((value) => value.readUInt32LE()) ?? [])).toBe(3);
  });

  it('writes, reads and deletes entries', () => {
    const live = attach();
    const keys = Array.from({ length: 4999 }, (_, at) => u64(BigInt(at)));
    for (const [at, key] of keys.entries()) live.writeMap('table', key, u32(at));
    const read = live.readMap('table').sort((a, b) => a.key.compare(b.key));
    expect(read).toHaveLength(4999);
    for (const { key, values } of read) {
      expect(values).toEqual([u32(Number(key.readBigUInt64LE()))]);
    }
    live.deleteKeys('table', [...keys.slice(1), u64(9999n)]);
    expect(live.readMap('table')).toEqual([{ key: keys[0], values: [u32(0)] }]);
  });

  it('reads the keys that are asked for, without those that the map lacks', () => {
    const live = attach();
    call(3);
    const ours = u64(getppid ?? 0n);
    const calls = live.readKeys('calls', Buffer.concat([u64(9999n), ours]));
    expect(calls).toEqual(live.readMap('calls'));
    expect(calls[0]?.values).toHaveLength(possibleCpus());
    for (const key of [1, 2, 3]) live.writeMap('table', u64(BigInt(key)), u32(key * 11));
    live.deleteKeys('table', [u64(2n)]);
    expect(live.readKeys('table', Buffer.concat([3n, 2n, 1n].map(u64)))).toEqual([
      { key: u64(3n), values: [u32(33)] },
      { key: u64(1n), values: [u32(11)] },
    ]);
    expect(live.readKeys('written', Buffer.concat([u32(1), u32(0)]))).toEqual([
      { key: u32(0), values: [u64(3n)] },
    ]);
    expect(live.readKeys('table', Buffer.alloc(0))).toEqual([]);
  });

  it('runs an iterator to its end', () => {
    using listener = Socket.open();
    must(listener.bind('127.0.0.1', 0));
    must(listener.listen(1));
    const { port } = must(listener.getsockname());
    const output = attach().runIterator('local_ports');
    const ports = Array.from({ length: output.length / 2 }, (_, at) => output.readUInt16LE(at * 2));
    expect(ports).toContain(port);
  });

  it('tells how often each loaded program was missed', () => {
    const missed = attach().missed();
    expect(missed).toContainEqual({ name: 'on_call', count: 0 });
    expect(missed.map(({ name }) => name)).not.toContain('no_hook');
  });

  it('says which name or length does not fit the object', () => {
    const failing: [Partial<AttachOptions>, RegExp][] = [
      [{ rodata: { nowhere: u32(1) } }, /no constant nowhere/],
      [{ rodata: { pid: u64(1n) } }, /pid is 4 bytes, not 8/],
      [{ skip: { nowhere: 'x' } }, /no program nowhere/],
      [{ perfMap: 'nowhere' }, /no map nowhere/],
      [{ perfMap: 'table' }, /PERF_EVENT_ARRAY/],
      [{ ringBytes: 3 << 12 }, /power of two/],
      [{ unwrittenMap: 'nowhere' }, /no map nowhere/],
    ];
    for (const [options, message] of failing) {
      expect(() => attach(options)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
      expect(() => attach(options)).toThrow(message);
    }
    const live = attach();
    expect(() => live.runIterator('on_call')).toThrow(/not an iterator/);
    expect(() => live.readMap('events')).toThrow(/no entries/);
    expect(() => live.readKeys('table', u32(1))).toThrow(/8 bytes each, which 4 is no multiple/);
    expect(() => live.readKeys('events', u32(1))).toThrow(/no entries/);
    expect(() => live.writeMap('calls', u64(1n), u32(1))).toThrow(/per-CPU/);
    expect(() => live.writeMap('table', u32(1), u32(1))).toThrow(/a key is 8 bytes, not 4/);
  });

  it('ends with close, which may come twice', () => {
    const live = attach();
    live.close();
    live.close();
    expect(live.programs().every(({ attached }) => !attached)).toBe(true);
    expect(() => drain(live)).toThrow(expect.objectContaining({ code: 'ECLOSED' }));
  });
});

/** Keeps this process on the first CPU. */
function pinned(): Disposable {
  const taskset = (cpus: string) =>
    execFileSync('taskset', ['-a', '-cp', cpus, String(process.pid)], { encoding: 'utf8' });
  const [, before = ''] = taskset('0').match(/current affinity list: (.*)/) ?? [];
  return { [Symbol.dispose]: () => void taskset(before) };
}

/** Makes the system call the fixture waits for. */
function call(times: number): void {
  for (let time = 0; time < times; time++) process.ppid;
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}
