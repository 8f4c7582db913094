// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { findingsOf, log } from './told.ts';

const told = (text: string) =>
  findingsOf(log(text)).map(({ cause, count, where }) => [cause, count, where]);

/** As the kernels of their time wrote them. */
test.each([
  ['nf_conntrack: table full, dropping packet.', 'conntrack-full', 'the host'],
  ['nf_conntrack: nf_conntrack: table full, dropping packet', 'conntrack-full', 'the host'],
  ['nf_conntrack: table full in netns 4026531840, dropping packet', 'conntrack-full', 'the host'],
  ['ip_conntrack: table full, dropping packet.', 'conntrack-full', 'the host'],
  ['TCP: too many orphaned sockets', 'orphan-limit', 'the host'],
  ['TCP: out of memory -- consider tuning tcp_mem', 'tcp-memory', 'the host'],
  ['neighbour: arp_cache: neighbor table overflow!', 'neighbour-table-full', 'the host'],
  ['neighbour: ndisc_cache: neighbor table overflow!', 'neighbour-table-full', 'the host'],
  ['Neighbour table overflow.', 'neighbour-table-full', 'the host'],
  ['TCP: time wait bucket table overflow', 'timewait-overflow', 'the host'],
  ['TCP: MD5 Hash failed for (10.0.0.1, 40000)->(10.0.0.2, 179)', 'md5-mismatch', 'port 179'],
  [
    'TCP: MD5 Hash failed for [2001:db8::1]:40000->[2001:db8::2]:179 L3 index 0',
    'md5-mismatch',
    'port 179',
  ],
  [
    'TCP: MD5 Hash not found for 10.0.0.1.40000->10.0.0.2.179 [S] L3 index 0',
    'md5-mismatch',
    'port 179',
  ],
  [
    'TCP: Unexpected MD5 Hash found for 10.0.0.1.40000->10.0.0.2.179 [S]',
    'md5-mismatch',
    'port 179',
  ],
  ['TCP: AO hash mismatch for 10.0.0.1.40000->10.0.0.2.179 [S]', 'ao-mismatch', 'the host'],
  [
    'TCP: request_sock_TCP: Possible SYN flooding on port 3306. Sending cookies.  Check SNMP counters.',
    'syn-cookies',
    'port 3306',
  ],
  [
    'TCP: request_sock_TCP: Possible SYN flooding on port 10.0.0.2:3306. Sending cookies.',
    'syn-cookies',
    'port 3306',
  ],
  [
    'TCP: request_sock_TCPv6: Possible SYN flooding on port [::]:3306. Sending cookies.',
    'syn-cookies',
    'port 3306',
  ],
  [
    'TCP: TCP: Possible SYN flooding on port 3306. Dropping request.  Check SNMP counters.',
    'syn-queue-full',
    'port 3306',
  ],
  ['possible SYN flooding on port 3306. Sending cookies.', 'syn-cookies', 'port 3306'],
  ['TCP: drop open request from 10.0.0.1/40000', 'syn-unproven-peer', 'the host'],
  ['IPv4: martian source 10.0.0.2 from 127.0.0.1, on dev eth0', 'martian-source', 'the host'],
  ['IPv4: martian source 10.0.0.2 from 10.9.0.1, on dev eth0', 'unexplained', 'the host'],
  ['nf_ct_ftp: dropping packet: cannot add expectation', 'unexplained', 'the host'],
])('%s', (line, cause, where) => {
  expect(told(line)).toEqual([[cause, 1, where]]);
});

test('however the line begins', () => {
  const line = 'TCP: too many orphaned sockets';
  const beginnings = [
    '',
    '[ 1212.638573] ',
    '[Sun Nov 29 17:00:00 2026] ',
    '<4>[    9.123456] ',
    '4,1234,5678901,-;',
    'kern  :info  : [    1.000000] ',
    'Nov 29 17:00:00 db1 kernel: ',
    'Nov  9 17:00:00 db1 kernel: [ 1212.638573] ',
    '2026-11-29T17:00:00+0100 db1 kernel: ',
    '2026-11-29T17:00:00.123456+01:00 db1 kernel: ',
  ];
  const text = beginnings.map((beginning) => beginning + line).join('\n');
  expect(told(text)).toEqual([['orphan-limit', beginnings.length, 'the host']]);
});

test.each([
  'Nov 29 17:00:00 db1 sshd[12]: TCP: too many orphaned sockets',
  'somebody wrote: nf_conntrack: table full, dropping packet',
  'nf_conntrack: default automatic helper assignment has been turned off',
  'TCP: cubic registered',
  'TCP: Hash tables configured (established 262144 bind 65536)',
  'IPv4: martian destination 0.0.0.0 from 10.0.0.1, dev eth0',
])('nothing is said of: %s', (line) => {
  expect(told(line)).toEqual([]);
});

test('what the log left out is counted where it is known of what', () => {
  const full = '[1.0] nf_conntrack: table full, dropping packet';
  const left_out = '[6.0] net_ratelimit: 117 callbacks suppressed';
  const orphans = '[7.0] TCP: too many orphaned sockets';
  expect(told([full, left_out, full].join('\n'))).toEqual([['conntrack-full', 119, 'the host']]);
  // One limit is for all of them.
  expect(told([full, left_out, orphans].join('\n'))).toEqual([
    ['conntrack-full', 1, 'the host'],
    ['orphan-limit', 1, 'the host'],
  ]);
  expect(told([full, left_out, '[6.1] IPv6: something else', full].join('\n'))).toEqual([
    ['conntrack-full', 2, 'the host'],
  ]);
});

test('numbers that no kernel writes are none of an event', () => {
  const full = '[1.0] nf_conntrack: table full, dropping packet';
  const left_out = '[6.0] net_ratelimit: 99999999999999999999 callbacks suppressed';
  expect(told([full, left_out, full].join('\n'))).toEqual([
    ['conntrack-full', 2 + 2 ** 31 - 1, 'the host'],
  ]);
  expect(told('[1.0] TCP: Possible SYN flooding on port 70000. Sending cookies.')).toEqual([
    ['syn-cookies', 1, 'the host'],
  ]);
});

test('the line is quoted, and hides nothing from a terminal', () => {
  const [finding] = findingsOf(log('[1.0] TCP: drop open request from 10.0.0.1/40000\u001b[2J'));
  expect(finding?.evidence.log).toContain('TCP: drop open request from 10.0.0.1/40000');
  expect(finding?.summary).toBe(
    'the log says once that a SYN of a peer that nothing is known of was dropped, as few half-open connections were left',
  );
});
