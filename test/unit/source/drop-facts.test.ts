// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { DropFacts } from '../../../src/source/drop-facts.ts';
import { decodeEvent } from '../../../src/wire/decode.ts';
import { FrameReader } from '../../../src/wire/frames.ts';
import type { DeviceHooks } from '../../../src/wire/types.gen.ts';
import { AT, BODY, WRITTEN } from '../../../src/wire/written.gen.ts';

const DROP = 19;
const layout = WRITTEN[DROP];
const REASONS: Record<number, string> = {
  1: 'TC_INGRESS',
  2: 'NETFILTER_DROP',
  3: 'NOT_SPECIFIED',
};

/** A record with nothing in it but what is asked about. */
function record(ktime_ns: number, reason: number, device = 's0') {
  const w = new Int32Array(layout.words);
  const bytes = Buffer.from(w.buffer);
  w[BODY + AT.Drop.reason] = reason;
  bytes.write(device, 4 * (BODY + AT.Drop.packet + AT.Packet.device));
  bytes.writeBigUInt64LE(BigInt(ktime_ns), 4 * AT.Event.ktime_ns);
  w[AT.Event.netns] = 7;
  return w;
}

function finder(hooks: () => DeviceHooks | null, took_ms = 0) {
  const asked: string[] = [];
  let now_ms = 0;
  const facts = new DropFacts(
    {
      dropReason: (reason) => REASONS[reason] ?? '',
      hasDropReasons: true,
      symbol: () => 'do_xdp_generic',
      socketHooks: (_, cgroup, socket_filter_id) => ({ cgroup, socket_filter_id, hooked: [] }),
      lookupHooks: (netns) => ({ netns, hooked: [] }),
      deviceHooks(netns, device) {
        asked.push(`${netns} ${device}`);
        now_ms += took_ms;
        return hooks();
      },
    },
    () => now_ms,
  );
  const of = (w: Int32Array) => {
    const frames = new FrameReader().push(Buffer.concat(facts.of(w, 0, layout)));
    return [...frames].map(({ bytes }) => decodeEvent(bytes)?.body);
  };
  return { of, asked, facts };
}

const hooks = (program: string): DeviceHooks => ({
  netns: 7,
  device: 's0',
  state: '',
  hooked: [
    {
      ...{ hook: 'tc ingress', kind: 'bpf', program_id: 5, program, priority: 1 },
      ...{ actions: [], processes: [], pins: [], cgroup_path: '', loaded_ktime_ns: '0' },
    },
  ],
  qdiscs: [],
});

test('a drop by a program asks what is at its device, others do not', () => {
  const { of, asked } = finder(() => hooks('policy'));
  expect(of(record(1, 2))).toEqual([]);
  expect(of(record(1, 1, ''))).toEqual([]);
  expect(asked).toEqual([]);
  expect(of(record(1, 1))).toMatchObject([{ device_hooks: { hooked: [{ program: 'policy' }] } }]);
  expect(of(record(1, 3, 's1'))).toHaveLength(1);
  expect(asked).toEqual(['7 s0', '7 s1']);
});

test('is asked once a second, and told where it changed', () => {
  let program = 'old';
  const { of, asked, facts } = finder(() => hooks(program));
  of(record(1, 1));
  program = 'new';
  expect(of(record(0.9e9, 1))).toEqual([]);
  expect(of(record(1.1e9, 1))).toMatchObject([{ device_hooks: { hooked: [{ program: 'new' }] } }]);
  expect(of(record(3e9, 1))).toEqual([]);
  expect(asked).toHaveLength(3);
  facts.forget();
  expect(of(record(3.1e9, 1))).toHaveLength(1);
});

test('a host on which it takes long is asked less often', () => {
  const { of, asked } = finder(() => hooks('policy'), 500);
  of(record(1, 1));
  of(record(4e9, 1));
  of(record(6e9, 1));
  expect(asked).toHaveLength(2);
});

test('a device that is gone has nothing', () => {
  const { of } = finder(() => null);
  expect(of(record(1, 1))).toEqual([]);
});
