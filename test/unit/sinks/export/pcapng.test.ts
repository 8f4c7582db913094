// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import type { ExportedEvent } from '../../../../src/sinks/export/format.ts';
import { pcapngSink } from '../../../../src/sinks/export/pcapng.ts';
import { addressBytes } from '../../../../src/tcp/address.ts';
import { eventFromJson } from '../../../../src/wire/decode.ts';
import { dropped, exportedFrom, TIME_NS, verdict } from './exported.ts';
import { bytesWithTshark, HAS_TSHARK } from './tshark.ts';

const HEADER = { host: 'host', kernel: '6.18.0', machine: 'x86_64', tcpwhy_version: '0.1.0' };

function written(events: readonly ExportedEvent[]): { bytes: Buffer; left_out: number } {
  const blocks: Uint8Array[] = [];
  const sink = pcapngSink(HEADER, (block) => blocks.push(block));
  for (const event of events) sink.event(event);
  sink.end();
  return { bytes: Buffer.concat(blocks), left_out: sink.left_out };
}

function read(events: readonly ExportedEvent[], ...fields: string[]) {
  return bytesWithTshark(written(events).bytes, fields);
}

function comments(events: readonly ExportedEvent[]): (string | undefined)[] {
  return read(events, 'frame.comment').map((fields) => fields['frame.comment']);
}

describe.skipIf(!HAS_TSHARK)('tshark reads (tools/setup installs it)', () => {
  test('IPv4, every field', () => {
    const expected = {
      'frame.time_epoch': '1795307257.819161741',
      'frame.len': '152',
      'frame.cap_len': '52',
      'frame.interface_name': 's0',
      'frame.interface_description': 'netns 4026531840',
      'frame.packet_flags_direction': '0x00000001',
      'ip.src': '10.0.0.1',
      'ip.dst': '10.0.0.2',
      'ip.ttl': '63',
      'ip.len': '152',
      'ip.checksum.status': '1',
      'tcp.srcport': '40000',
      'tcp.dstport': '80',
      'tcp.flags': '0x0018',
      'tcp.seq': '4294967295',
      'tcp.ack': '7',
      'tcp.window_size_value': '512',
      'tcp.len': '100',
      'tcp.options.timestamp.tsval': '11',
      'tcp.options.timestamp.tsecr': '12',
    };
    expect(read([dropped()], ...Object.keys(expected))).toEqual([expected]);
  });

  test('IPv6, every field', () => {
    const expected = {
      'frame.len': '160',
      'frame.cap_len': '60',
      'frame.packet_flags_direction': '0x00000002',
      'ipv6.src': '2001:db8::1',
      'ipv6.dst': 'fe80::abcd:0:12',
      'ipv6.hlim': '63',
      'ipv6.plen': '120',
      'tcp.srcport': '40000',
      'tcp.len': '100',
      'tcp.hdr_len': '20',
    };
    const made = { saddr: '2001:db8::1', daddr: 'fe80::abcd:0:12', has_timestamps: 0, ifindex: 0 };
    expect(read([dropped(made)], ...Object.keys(expected))).toEqual([expected]);
  });

  test.each([
    ['10.0.0.1', '10.0.0.2'],
    ['255.255.255.255', '255.255.255.254'],
    ['2001:db8::1', '2001:db8:ffff::2'],
    ['::1', '::'],
    ['::ffff:0:0', '2001:db8::2'],
    ['10.0.0.1', '2001:db8::2'],
  ])('checksums that are right, %s → %s', (saddr, daddr) => {
    const made = { saddr, daddr, payload_len: 0, window: 65535, tsval: 0xffffffff };
    const events = [dropped(made), dropped({ ...made, has_timestamps: 0, seq: 1 })];
    const status = read(events, 'tcp.checksum.status', 'ip.checksum.status');
    const v4 = !saddr.includes(':') && !daddr.includes(':');
    const right = { 'tcp.checksum.status': '1', 'ip.checksum.status': v4 ? '1' : '' };
    expect(status).toEqual([right, right]);
  });

  test('a segment that is longer than IP allows, as cards cut them only later', () => {
    const fields = ['frame.len', 'tcp.len'];
    const expected = { 'frame.len': '200052', 'tcp.len': '200000' };
    expect(read([dropped({ payload_len: 200_000 })], ...fields)).toEqual([expected]);
    const v6 = { saddr: '2001:db8::1', daddr: '2001:db8::2', payload_len: 200_000 };
    expect(read([dropped(v6)], ...fields)).toEqual([{ ...expected, 'frame.len': '200080' }]);
  });

  test('the cause, then what happened and what the kernel did', () => {
    expect(comments([dropped({ verdicts: [verdict('no-listener')] })])).toEqual([
      'no-listener (error): title of no-listener\nsummary of no-listener\nkernel: dropped (NO_SOCKET)',
    ]);
  });

  test('a comment in which nothing is hidden', () => {
    const [comment] = comments([dropped({ happened: '\x1b[2J\u202e\n' })]);
    expect(comment).toBe('kernel: \\x1b[2J\\u202e\\n');
  });

  test('what became of one segment at two places as one packet', () => {
    const answered = dropped({ happened: 'reset sent', verdicts: [verdict('no-listener')] });
    const events = [
      answered,
      dropped({ at_ns: 100n, happened: 'another segment', seq: 1 }),
      dropped({ at_ns: 50_000_000n, verdicts: [verdict('no-listener')] }),
    ];
    const said = 'no-listener (error): title of no-listener\nsummary of no-listener';
    expect(comments(events)).toEqual([
      `${said}\nkernel: reset sent\nkernel: dropped (NO_SOCKET)`,
      'kernel: another segment',
    ]);
  });

  test('its retransmission, and the same in another namespace, as packets of their own', () => {
    const events = [dropped(), dropped({ netns: 5 }), dropped({ at_ns: 50_000_001n })];
    expect(comments(events)).toHaveLength(3);
    const seen = read(events, 'frame.interface_description', 'frame.time_epoch');
    expect(seen.map((fields) => fields['frame.interface_description'])).toEqual([
      'netns 4026531840',
      'netns 5',
      'netns 4026531840',
    ]);
    expect(seen[2]?.['frame.time_epoch']).toBe('1795307257.869161742');
  });

  test.each([
    ['a reset that the socket sent', 'reset_sent', {}, '10.0.0.1', '0x0014', '99', '55'],
    ['a reset that it got', 'reset_received', {}, '10.0.0.2', '0x0004', '55', '0'],
    ['a SYN sent again', 'retransmit', { syn: 1 }, '10.0.0.1', '0x0002', '98', '0'],
  ])('%s, by the socket’s numbers', (_, kind, more, saddr, flags, seq, ack) => {
    const event = eventFromJson({ [kind]: { sock: SOCK, ...more } });
    const [packet] = read(
      [exportedFrom(event)],
      ...['ip.src', 'tcp.flags', 'tcp.seq', 'tcp.ack', 'tcp.checksum.status', 'frame.comment'],
    );
    expect(packet).toMatchObject({ 'ip.src': saddr, 'tcp.flags': flags, 'tcp.seq': seq });
    expect(packet).toMatchObject({ 'tcp.ack': ack, 'tcp.checksum.status': '1' });
    expect(packet?.['frame.comment']).toMatch(/not a captured segment/);
  });
});

const SOCK = {
  flow: { saddr: addressBytes('10.0.0.1'), daddr: addressBytes('10.0.0.2'), sport: 1, dport: 2 },
  state: 1,
  previous_state: 1,
  owner: {},
  snd_nxt: 99,
  rcv_nxt: 55,
};

test('an event without a segment is left out, and counted, unless it has a cause', () => {
  const event = eventFromJson({ state_change: { old_state: 2, new_state: 7, sock: SOCK } });
  const without = written([exportedFrom(event)]);
  expect(without.left_out).toBe(1);
  const caused = written([exportedFrom(event, { verdicts: [verdict('connect-timeout')] })]);
  expect(caused.left_out).toBe(0);
  expect(caused.bytes.length).toBeGreaterThan(without.bytes.length);
});

test('every block says its length at both ends', () => {
  const { bytes } = written([dropped(), dropped({ at_ns: TIME_NS, verdicts: [verdict('x')] })]);
  let blocks = 0;
  for (let at = 0; at < bytes.length; blocks++) {
    const length = bytes.readUInt32LE(at + 4);
    expect(length % 4).toBe(0);
    expect(bytes.readUInt32LE(at + length - 4)).toBe(length);
    at += length;
  }
  expect(blocks).toBe(4);
});

test('what fits no header, as in a recording that somebody made up, ends nothing', () => {
  const made_up = dropped({ payload_len: 0xffffffff });
  const { body } = made_up.event as Extract<ExportedEvent['event'], { kind: 'drop' }>;
  body.packet.flow.sport = 70_000;
  const { bytes, left_out } = written([made_up]);
  expect(left_out).toBe(0);
  expect(bytes.readUInt32LE(bytes.length - 4)).toBeGreaterThan(0);
});

test('a long comment is cut, never within a character, and what comes after it is whole', () => {
  const long = dropped({ happened: `${'→'.repeat(30_000)}` });
  const { bytes } = written([long, dropped({ at_ns: 10n ** 9n })]);
  let blocks = 0;
  for (let at = 0; at < bytes.length; blocks++) at += bytes.readUInt32LE(at + 4);
  expect(blocks).toBe(4);
  expect(bytes.includes('\ufffd')).toBe(false);
});
