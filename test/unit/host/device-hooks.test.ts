// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { type DeviceHost, deviceHooks } from '../../../src/host/device-hooks.ts';

const [GETLINK, GETQDISC, GETFILTER] = [18, 38, 46];
const INGRESS = 0xfffffff2;

function attribute(type: number, value: Buffer | string | number): Buffer {
  const bytes = typeof value === 'number' ? u32(value) : Buffer.from(value);
  const made = Buffer.alloc((4 + bytes.length + 3) & ~3);
  made.writeUInt16LE(4 + bytes.length, 0);
  made.writeUInt16LE(type, 2);
  bytes.copy(made, 4);
  return made;
}

function u32(...values: number[]): Buffer {
  return Buffer.from(new Uint32Array(values).buffer);
}

function message(type: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length, 0);
  header.writeUInt16LE(type, 4);
  return Buffer.concat([header, body]);
}

const IFINDEX = 3;
const tc = (handle: number, parent: number, info = 0, ifindex = IFINDEX) =>
  u32(0, ifindex, handle, parent, info);
const dropped = (count: number) => attribute(7, attribute(3, u32(0, 0, count, 0, 0)));

/** Answers by what is asked for. */
function host(answer: (type: number, parent: number) => Buffer[]): DeviceHost {
  return {
    netlink: (requests) =>
      requests.map((bytes) => {
        const request = Buffer.from(bytes);
        return Buffer.concat(answer(request.readUInt16LE(4), request.readUInt32LE(28)));
      }),
    programs: () => [{ hook: 'tcx ingress', id: 9, name: 'from_tcx' }],
    programName: (id) => `program${id}`,
    holders: () =>
      new Map([
        [9, { processes: [{ pid: 1, comm: 'agent' }], pins: ['/pin'], loaded_ktime_ns: '5' }],
      ]),
  };
}

const link = message(
  16,
  u32(0, IFINDEX, 0x10001, 0),
  attribute(13, 1000),
  attribute(43, attribute(6, 4)),
);

test('programs, filters and qdiscs of a device', () => {
  const found = deviceHooks(
    host((type, parent) => {
      if (type === GETLINK) return [link];
      if (type === GETQDISC)
        return [
          message(
            36,
            tc(0x8001_0000, 0xffff_ffff),
            attribute(1, 'tbf\0'),
            attribute(2, attribute(1, u32(0, 0, 1e6, 0, 0, 0, 6000, 0, 0))),
            dropped(2),
          ),
          message(36, tc(0, 0x8001_0001), attribute(1, 'pfifo_fast\0')),
          message(36, tc(0xffff_0000, 0xffff_fff1), attribute(1, 'clsact\0')),
          message(36, tc(0, 0xffff_ffff, 0, IFINDEX + 1), attribute(1, 'pfifo\0')),
        ];
      if (type === GETFILTER && parent === INGRESS)
        return [
          message(44, tc(0, parent, 10 << 16), attribute(1, 'bpf\0')),
          message(
            44,
            tc(1, parent, 10 << 16),
            attribute(1, 'bpf\0'),
            attribute(2, attribute(11, 5)),
          ),
          message(
            44,
            tc(1, parent, 20 << 16),
            attribute(1, 'u32\0'),
            attribute(
              2,
              attribute(
                7,
                attribute(
                  1,
                  Buffer.concat([
                    attribute(1, 'gact\0'),
                    attribute(2, attribute(2, u32(1, 0, 2, 0, 0))),
                  ]),
                ),
              ),
            ),
          ),
        ];
      return [];
    }),
    7,
    's0',
    '/run/netns/x',
  );
  expect(found?.hooked).toMatchObject([
    { hook: 'xdp generic', program_id: 4, program: 'program4' },
    { hook: 'tcx ingress', program: 'from_tcx', processes: [{ comm: 'agent' }], pins: ['/pin'] },
    { hook: 'tc ingress', kind: 'bpf', program: 'program5', priority: 10, processes: [] },
    { hook: 'tc ingress', kind: 'u32', program_id: 0, priority: 20, actions: ['drop'] },
  ]);
  expect(found?.qdiscs).toEqual([
    {
      ...{ kind: 'tbf', handle: '8001:', parent: '', has_dropped: 1 },
      limits: 'rate 8 Mbit/s, limit 6000 bytes',
    },
    {
      ...{ kind: 'pfifo_fast', handle: '0:', parent: '8001:1', has_dropped: 0 },
      limits: 'limit 1000 packets',
    },
  ]);
});

test('a device that is gone', () => {
  expect(
    deviceHooks(
      host(() => []),
      7,
      's0',
      '/run/netns/x',
    ),
  ).toBeNull();
});
