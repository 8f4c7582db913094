// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { byHost, hostNames } from '../../../src/report/hosts.ts';
import type { Header } from '../../../src/wire/types.gen.ts';
import { headerWith } from '../causes/fixture.ts';

const file = (name: string, header: Partial<Header>) => ({
  name,
  header: { ...headerWith(), ...header },
});

test('files of one run, or of one host one after the other, are one host', () => {
  const files = [
    file('b.tcpwhy', { host: 'db', start_ktime_ns: 2e9 }),
    file('a.tcpwhy', { host: 'db', start_ktime_ns: 1e9 }),
    file('x.2.tcpwhy', { host: '', run: '7', start_ktime_ns: 9e9, clock_offset_ns: '5' }),
    file('x.1.tcpwhy', { host: '', run: '7', start_ktime_ns: 8e9, clock_offset_ns: '99000000000' }),
  ];
  const names = byHost(files).map((host) => host.map(({ name }) => name));
  expect(names).toEqual([
    ['a.tcpwhy', 'b.tcpwhy'],
    ['x.2.tcpwhy', 'x.1.tcpwhy'],
  ]);
});

test('one kernel seen from two namespaces, or with two filters, is two', () => {
  const files = [
    file('client.tcpwhy', { filters: ['netns 1'] }),
    file('server.tcpwhy', { filters: ['netns 2'] }),
    file('pod.tcpwhy.zst', { netns: 9 }),
  ];
  const hosts = byHost(files);
  expect(hosts).toHaveLength(3);
  expect(hostNames(hosts)).toEqual(['host (client)', 'host (server)', 'host (pod)']);
});

test('a host is named by itself, and by its file where it has no name', () => {
  const hosts = byHost([
    file('/tmp/one.tcpwhy', { host: 'db-7' }),
    file('/tmp/two.tcpwhy', { host: '' }),
    file('/var/two.tcpwhy', { host: '', kernel: '5.10' }),
  ]);
  expect(hostNames(hosts)).toEqual(['db-7', 'two 2', 'two 3']);
});
