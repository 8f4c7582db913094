// SPDX-License-Identifier: Apache-2.0

import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { Netns } from '../../src/lab/netns.ts';
import { netnsCpu_ms, netnsFiles } from '../../src/native/binding.ts';

const FILES = ['thread-self/net/netstat', 'thread-self/net/dev'];

it('counts what is run in other namespaces, by threads that have ended since', () => {
  const netns = Netns.create('spent');
  try {
    const before_ms = netnsCpu_ms();
    expect(netnsFiles(FILES)).not.toContain(null);
    expect(netnsCpu_ms()).toBe(before_ms);
    expect(netnsFiles(FILES, netns.path)).not.toContain(null);
    expect(netnsCpu_ms()).toBeGreaterThan(before_ms);
  } finally {
    netns.delete();
  }
});

it('takes over nothing that the host was told, as Docker tells it to forward', () => {
  const host = '/proc/sys/net/ipv4/ip_forward';
  const before = readFileSync(host, 'utf8');
  let netns: Netns;
  try {
    writeFileSync(host, '1');
    netns = Netns.create('new');
  } finally {
    writeFileSync(host, before);
  }
  try {
    expect(netns.exec('cat', [host])).toBe('0\n');
  } finally {
    netns.delete();
  }
});
