// SPDX-License-Identifier: Apache-2.0

import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import {
  clockOffset_ns,
  hasBtf,
  kernelEnums,
  onlineCpus,
  possibleCpus,
  Session,
} from '../../../src/native/binding.ts';

const options = { perfMap: 'events', ringBytes: 32768 };

describe.skipIf(!existsSync('/sys/kernel/btf/vmlinux'))("the kernel's BTF", () => {
  it('gives the numbers of named enums', () => {
    const { skb_drop_reason: reasons } = kernelEnums(['skb_drop_reason']);
    expect(reasons).toMatchObject({ SKB_DROP_REASON_NOT_SPECIFIED: 2 });
  });

  it('finds anonymous enums by a member', () => {
    const enums = kernelEnums([], ['LINUX_MIB_LISTENDROPS', 'TCP_MIB_OUTRSTS']);
    expect(Object.keys(enums).sort()).toEqual(['LINUX_MIB_LISTENDROPS', 'TCP_MIB_OUTRSTS']);
    expect(enums.TCP_MIB_OUTRSTS).toMatchObject({ TCP_MIB_OUTRSTS: 14, TCP_MIB_OUTSEGS: 11 });
    // A row of /proc/net/netstat names every counter but the first, which is no counter.
    const netstat = readFileSync('/proc/net/netstat', 'utf8').split('\n')[0] ?? '';
    const counters = netstat.trim().split(' ').length - 1;
    expect(enums.LINUX_MIB_LISTENDROPS?.__LINUX_MIB_MAX).toBe(counters + 1);
  });

  it('leaves out what the kernel does not have', () => {
    expect(kernelEnums(['no_such_enum'], ['NO_SUCH_MEMBER'])).toEqual({});
  });

  it('knows functions, typedefs and structs', () => {
    const there = hasBtf([
      { kind: 'func', name: 'tcp_v4_rcv' },
      { kind: 'typedef', name: 'btf_trace_kfree_skb' },
      { kind: 'struct', name: 'sk_buff' },
      { kind: 'func', name: 'sk_buff' },
      { kind: 'func', name: 'no_such_function' },
    ]);
    expect(there).toEqual([true, true, true, false, false]);
  });
});

describe('errors', () => {
  const failure = (code: string) => expect.objectContaining({ code });

  it('ENOENT: no object', () => {
    const attach = () => Session.attach({ ...options, object: '/nowhere/tcpwhy.bpf.o' });
    expect(attach).toThrow(failure('ENOENT'));
    expect(attach).toThrow('/nowhere/tcpwhy.bpf.o');
  });

  it('EINVAL: a file that is no BPF object', () => {
    const attach = () => Session.attach({ ...options, object: import.meta.filename });
    expect(attach).toThrow(failure('EINVAL'));
    expect(attach).toThrow('not a BPF object');
  });

  it('ENOBTF: a BTF path that gives none', () => {
    expect(() => kernelEnums([], [], '/nowhere/vmlinux')).toThrow(failure('ENOBTF'));
    expect(() => hasBtf([], import.meta.filename)).toThrow(failure('ENOBTF'));
  });
});

it('counts CPUs', () => {
  expect(onlineCpus()).toBeGreaterThanOrEqual(availableParallelism());
  expect(possibleCpus()).toBeGreaterThanOrEqual(onlineCpus());
});

it('reads the wall clock as it is now', () => {
  const before_ms = Date.now();
  const wall_ms = Number(clockOffset_ns() + process.hrtime.bigint()) / 1e6;
  expect(wall_ms).toBeGreaterThan(before_ms - 20);
  expect(wall_ms).toBeLessThan(Date.now() + 20);
});
