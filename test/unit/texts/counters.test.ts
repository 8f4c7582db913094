// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { COUNTED, UNNAMED } from '../../../src/texts/counter-causes.ts';
import { parseCounters } from '../../../src/texts/counters.ts';
import { movedBetween } from '../../../src/texts/moved.ts';
import { counters, findingsOf, toldByCounters } from './told.ts';

const TEST = join(import.meta.dirname, '../..');
const read = (name: string) => readFileSync(join(TEST, name), 'utf8');
const valuesOf = (text: string) => Object.fromEntries(parseCounters(text).values);

describe('forms', () => {
  test('netstat -s has the counters that the kernel had when it printed them, by their names', () => {
    // Each counter of the second had a value of its own when net-tools 2.10 printed the first.
    const [words, names] = ['texts/netstat-s.txt', 'texts/netstat-s.proc.txt'].map((file) =>
      parseCounters(read(file)),
    );
    expect(words?.unknown).toEqual([]);
    const told = [...(words?.values ?? [])].filter(([counter]) => !/^Ip\.Forwarding/.test(counter));
    expect(told.length).toBeGreaterThan(200);
    for (const [counter, value] of told)
      expect([counter, names?.values.get(counter)]).toEqual([counter, value]);
    for (const counter of ['PAWSPassive', 'ListenDrops', 'TCPReqQFullDrop', 'TCPAbortOnMemory'])
      expect(words?.values.has(`TcpExt.${counter}`)).toBe(true);
  });

  test('nstat, as text and JSON, and /proc/net/snmp6', () => {
    const nstat =
      '#kernel\nTcpExtListenDrops               7                  0.0\nIp6OutNoRoutes 3 0.0\n';
    expect(valuesOf(nstat)).toEqual({ 'TcpExt.ListenDrops': 7, 'Ip6.OutNoRoutes': 3 });
    expect(valuesOf('{"kernel":{"TcpExtListenDrops":7,"MPTcpExtMPCapableSYNRX":1}}')).toEqual({
      'TcpExt.ListenDrops': 7,
      'MPTcpExt.MPCapableSYNRX': 1,
    });
    expect(valuesOf('Ip6InReceives                   \t12\nUdpLite6InDatagrams\t0\n')).toEqual({
      'Ip6.InReceives': 12,
      'UdpLite6.InDatagrams': 0,
    });
  });

  test('files of /proc/net one behind the other', () => {
    const text =
      'TcpExt: SyncookiesSent ListenDrops\nTcpExt: 1 2\nIp: Forwarding OutNoRoutes\nIp: 2 5\nIp6InReceives 9\n';
    expect(valuesOf(text)).toMatchObject({
      'TcpExt.ListenDrops': 2,
      'Ip.OutNoRoutes': 5,
      'Ip6.InReceives': 9,
    });
  });

  test('words of older versions, and lines that somebody kept', () => {
    const kept =
      '    173495 SYNs to LISTEN sockets ignored\n    TCPBacklogDrop: 135\n    12 packets rejects in established connections because of timestamp\n';
    expect(valuesOf(kept)).toEqual({
      'TcpExt.ListenDrops': 173_495,
      'TcpExt.TCPBacklogDrop': 135,
      'TcpExt.PAWSEstab': 12,
    });
  });

  test('a line of other words is told', () => {
    const { unknown, values } = parseCounters(
      'TcpExt:\n    7 SYNs verworfen\n    1 SYN cookies sent\n',
    );
    expect(unknown).toEqual(['7 SYNs verworfen']);
    expect(values.size).toBe(1);
  });

  test.each([
    ['', 'is empty'],
    ['hello\n', 'has no counters that are known'],
    ['\u0000\u0001', 'is no text'],
    ['TcpExt:\n    7 SYN coo', 'ends within a line'],
    ['TcpExt: A B C\nTcpExt: 1 2\n', 'line 1 has 3 names, and the next 2 values'],
    ['TcpExt: A B\nTcpExt: 1 x\n', 'line 2 has "x" for a number'],
    ['Tcp: A\nTcp: 1\nTcpExt: A B C\n', 'has no values for line 3'],
    ['{"kernel":{"TcpExtListen', 'whole JSON'],
    ['{"a":1}', 'not of nstat --json'],
  ])('%j is refused', (text, why) => {
    expect(() => parseCounters(text)).toThrow(why);
  });
});

describe('what moved', () => {
  const moved = (before: string, after: string) =>
    movedBetween(parseCounters(before), parseCounters(after));
  const netstat = (...lines: string[]) => `${lines.join('\n')}\n`;

  test('what the first text omits was zero', () => {
    const before = netstat('TcpExt:', 'IpExt:', 'InMcastPkts: 1');
    const after = netstat('TcpExt:', '7 SYN cookies sent', 'IpExt:', 'InMcastPkts: 2');
    expect(moved(before, after).rows).toEqual([
      { counter: 'TcpExt.SyncookiesSent', before: 0, after: 7 },
      { counter: 'IpExt.InMcastPkts', before: 1, after: 2 },
    ]);
  });

  test('of what may have been cut off nothing is said', () => {
    const before = netstat('Tcp:', '1 resets sent', 'TcpExt:');
    const after = netstat('Tcp:', '2 resets sent', 'TcpExt:', '7 SYNs to LISTEN sockets dropped');
    expect(moved(before, after)).toMatchObject({
      rows: [{ counter: 'Tcp.OutRsts' }],
      uncompared: ['TcpExt.ListenDrops'],
    });
    expect(moved(after, netstat('Tcp:', '9 resets sent')).uncompared).toEqual([
      'TcpExt.ListenDrops',
    ]);
  });

  test('of texts of different kinds only what both have', () => {
    const { rows, uncompared } = moved(
      'TcpExt:\n    3 SYN cookies sent\n',
      'TcpExtSyncookiesSent 5 0.0\nTcpExtListenDrops 9 0.0\nTcpExtTW 0 0.0\n',
    );
    expect(rows).toEqual([{ counter: 'TcpExt.SyncookiesSent', before: 3, after: 5 }]);
    expect(uncompared).toEqual(['TcpExt.ListenDrops']);
  });

  test.each([
    [
      'TcpExtTW 5 0\nTcpExtListenDrops 7 0\n',
      'TcpExtTW 4 0\nTcpExtListenDrops 3 0\n',
      'wrong order',
    ],
    [
      'TcpExtTW 5 0\nTcpExtListenDrops 7 0\n',
      'TcpExtTW 6 0\nTcpExtListenDrops 3 0\n',
      'started anew',
    ],
    [
      'TcpExtTW 5 0\nTcpExtListenDrops 7 0\nIpExtInOctets 1 0\n',
      'TcpExtTW 6 0\nIpExtInOctets 2 0\n',
      'TcpExt.ListenDrops 7 → 0',
    ],
    ['TcpExtTW 5 0\n', 'TcpExtListenDrops 7 0\n', 'no counter in common'],
  ])('backwards: %j, %j', (before, after, why) => {
    expect(() => moved(before, after)).toThrow(why);
  });

  test('how many there are goes up and down', () => {
    expect(
      moved('TcpCurrEstab 9 0\nTcpOutRsts 1 0\n', 'TcpCurrEstab 2 0\nTcpOutRsts 1 0\n').rows,
    ).toEqual([]);
  });
});

describe('causes', () => {
  test('3631476 of 3631812 have a cause, and the other 336 have none', () => {
    const told = counters(read('texts/failures-before.txt'), read('texts/failures-after.txt'));
    const findings = findingsOf(told);
    expect(findings.map(({ cause, count }) => [cause, count])).toEqual([
      ['paws-passive', 3_631_476],
      ['unexplained', 336],
    ]);
    expect(findings[1]).toMatchObject({ severity: 'warning', evidence: { unnamed: 336 } });
    expect(findings[1]?.summary).toContain(
      'of 3631812 SYNs and third ACKs that a listener refused (TcpExt.ListenDrops) 3631476 are TcpExt.PAWSPassive: the other 336 are unnamed',
    );
  });

  test.each([
    ['short', { 'paws-passive': 6 }],
    ['long', { 'paws-passive': 7 }],
    ['edges', { 'paws-passive': 5 }],
    ['real-client', { 'paws-passive': 6 }],
    ['recycle-off', {}],
  ])('of a live Linux 4.9 with tcp_tw_recycle: %s', (name, expected) => {
    const at = (when: string) => read(`recordings/tw-recycle-4.9/${name}/${when}.netstat`);
    expect(toldByCounters(at('before'), at('after'))).toEqual(expected);
  });

  test('netstat -s of that host, which had started just before', () => {
    const text = read('texts/netstat-s-4.9.txt');
    const before = text.replace(/^.*(LISTEN sockets|passive connections rejected).*\n/gm, '');
    expect(toldByCounters(before, text)).toEqual({ 'paws-passive': 6 });
  });

  test('where ListenDrops moved less than what it contains, as before Linux 3.10, there is no rest', () => {
    const before = 'TcpExtListenDrops 0 0\nTcpExtPAWSPassive 0 0\nTcpExtListenOverflows 0 0\n';
    const after = 'TcpExtListenDrops 3 0\nTcpExtPAWSPassive 9 0\nTcpExtListenOverflows 3 0\n';
    expect(toldByCounters(before, after)).toEqual({ 'paws-passive': 9, 'accept-queue-full': 3 });
  });

  test('more than an event stands for', () => {
    const before = 'TcpExtListenOverflows 1 0\n';
    const after = `TcpExtListenOverflows ${2 ** 33 + 1} 0\n`;
    expect(toldByCounters(before, after)).toEqual({ 'accept-queue-full': 2 ** 33 });
  });

  test('what may be of several causes is none, and has them', () => {
    const [finding] = findingsOf(
      counters('TcpExtTCPAbortOnData 1 0\n', 'TcpExtTCPAbortOnData 4 0\n'),
    );
    expect(finding).toMatchObject({
      cause: 'unexplained',
      count: 3,
      evidence: { may_be: ['linger-zero-close', 'data-after-close', 'fin-wait2-expired'] },
    });
  });
});

test('docs/explain.md has every counter that names a cause or has some in common, and which', () => {
  const page = read('../docs/explain.md');
  const rows = page.split('\n').filter((line) => line.startsWith('| '));
  for (const { counter, cause } of COUNTED) {
    const name = counter.slice(counter.indexOf('.') + 1);
    const row = rows.find((line) => line.split(' | ')[0]?.includes(name));
    expect([counter, row?.includes(`\`${cause}\``)]).toEqual([counter, true]);
  }
  for (const { counter, may_be } of UNNAMED) {
    const row = rows.find((line) =>
      line.startsWith(`| ${counter.slice(counter.indexOf('.') + 1)}`),
    );
    for (const cause of may_be)
      expect([counter, row]).toEqual([counter, expect.stringContaining(cause)]);
  }
});
