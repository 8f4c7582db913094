// SPDX-License-Identifier: Apache-2.0

import { beforeEach, expect, test } from 'vitest';
import { ContainerFacts } from '../../../src/source/container-facts.ts';
import { FactFinder } from '../../../src/source/fact-finder.ts';
import { decodeEvent } from '../../../src/wire/decode.ts';
import type { Event } from '../../../src/wire/event.ts';
import { FrameReader } from '../../../src/wire/frames.ts';
import { AT, BODY } from '../../../src/wire/written.gen.ts';
import { Records } from '../../../src/wire/written.ts';
import { recordOf } from '../diagnose/records.ts';

const CGROUP = BODY + AT.ResetSent.sock + AT.Sock.owner + AT.Owner.cgroup;
const STACK = BODY + AT.ResetSent.stack;

let finder: FactFinder;
/** What the functions are called, null where there are none; and whether that has changed. */
let called: string | null;
let changed: boolean;
beforeEach(() => {
  called = 'f';
  changed = false;
  const symbols = {
    at: (address: string) => called && { name: `${called}${address}`, module: '' },
    tick: () => changed,
  };
  const cgroups = { path: (id: string) => (id === '9' ? null : `/c${id}`) };
  finder = new FactFinder(
    symbols as unknown as ConstructorParameters<typeof FactFinder>[0],
    cgroups as unknown as ConstructorParameters<typeof FactFinder>[1],
    () => [],
    new ContainerFacts(() => null),
  );
});

/** What is told for a reset that was sent by a process of that cgroup, from that stack. */
function told(cgroup: number, ...stack: number[]): string[] {
  const values = [[CGROUP, cgroup], ...stack.map((address, i) => [STACK + 2 * i, address])];
  const bytes = recordOf(
    'reset_sent',
    { ktime_ns: 5, netns: 1, key: 1 },
    new Map(values as [number, number][]),
  );
  const records = new Records(bytes);
  expect(records.next()).toBe(true);
  return finder.of(records.w, records.at, records.layout).map((frame) => {
    const [{ bytes: message = new Uint8Array() } = {}] = new FrameReader().push(frame);
    const { ktime_ns, body } = decodeEvent(message) as Event<'fact'>;
    expect(ktime_ns).toBe(5);
    return body.symbol ? body.symbol.name : (body.cgroup?.path ?? '');
  });
}

test('tells each symbol and cgroup once', () => {
  expect(told(3, 100, 200)).toEqual(['f100', 'f200', '/c3']);
  expect(told(3, 100, 200, 300)).toEqual(['f300']);
  expect(told(4)).toEqual(['/c4']);
  expect(told(3)).toEqual([]);
  expect(told(0)).toEqual([]);
  expect(told(9)).toEqual([]);
});

test('a stack ends with its first zero', () => {
  expect(told(0, 100, 0, 300)).toEqual(['f100']);
});

test('tells all again to another file', () => {
  told(3, 100);
  finder.forget();
  expect(told(3, 100)).toEqual(['f100', '/c3']);
});

test('tells anew what an address is called, and that it is called nothing, once each', () => {
  expect(told(0, 100, 200)).toEqual(['f100', 'f200']);
  called = 'g';
  finder.tick();
  expect(told(0, 100)).toEqual([]);
  changed = true;
  finder.tick();
  expect(told(0, 100)).toEqual(['g100']);
  expect(told(0, 100)).toEqual([]);
  finder.tick();
  expect(told(0, 100)).toEqual([]);
  called = null;
  finder.tick();
  expect(told(0, 100, 200, 300)).toEqual(['', '']);
  expect(told(0, 100, 200, 300)).toEqual([]);
});

test('takes back in another file what it told in the one before', () => {
  expect(told(0, 100)).toEqual(['f100']);
  finder.forget();
  called = null;
  expect(told(0, 100)).toEqual(['']);
  expect(told(0, 100)).toEqual([]);
});
