// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import type { Queue, Unaccepted } from '../../../src/host/unaccepted.ts';
import { EVERYTHING, type Filter } from '../../../src/source/filter.ts';
import { UnacceptedConnections } from '../../../src/source/unaccepted.ts';
import { decodeEvent } from '../../../src/wire/decode.ts';
import { FrameReader } from '../../../src/wire/frames.ts';

const QUEUE: Queue = { port: 8080, inodes: [7], usage: 1, limit: 128, is_full: false };

function connection(id: string, port = 40_000): Unaccepted {
  const flow = { saddr: '10.1.0.1', daddr: '10.1.0.2', sport: 8080, dport: port, service: 1 };
  return { id, flow, unread_bytes: 18, given_up: false, mptcp: false };
}

/** With what it takes to look at all namespaces, and to find who listens. */
function looks(filter: Filter = EVERYTHING, { all_ms = 0, holders_ms = 0 } = {}) {
  const host = { queue: QUEUE, waiting: [connection('a')] };
  const done = { all: 0, holders: 0 };
  const connections = new UnacceptedConnections(
    {
      namespaces() {
        done.all++;
        return [[5, 'there']];
      },
      queues: () => [host.queue],
      unaccepted: () => host.waiting,
      holders() {
        done.holders++;
        return [{ pid: 9, comm: 'java' }];
      },
      process: () => null,
      cpu_ms: () => done.all * all_ms + done.holders * holders_ms,
    },
    filter,
  );
  return { host, at: (s: number) => told(connections.look(s * 1e9)), done };
}

function told(bytes: Uint8Array[]) {
  const frames = [...new FrameReader().push(Buffer.concat(bytes))];
  return frames.flatMap((frame) => {
    const event = decodeEvent(frame.bytes);
    return event?.kind === 'unaccepted' ? [event] : [];
  });
}

test('one that waits from look to look is told when it has waited for long, and for twice as long', () => {
  const { at } = looks();
  expect([at(0), at(2.5)].flat()).toEqual([]);
  const [event, ...more] = at(5);
  expect(more).toEqual([]);
  expect(event).toMatchObject({ netns: 5, occurrences: 1 });
  expect(event?.body).toMatchObject({
    flow: { saddr: '10.1.0.1', daddr: '10.1.0.2', sport: 8080, dport: 40_000 },
    waited_ms: 5000,
    unread_bytes: 18,
    queue: 1,
    queue_max: 128,
    holders: [{ pid: 9, comm: 'java' }],
  });
  expect(at(7.5)).toEqual([]);
  expect(at(10)).toMatchObject([{ body: { waited_ms: 10_000 } }]);
  expect(at(12.5)).toEqual([]);
});

test('where others come as some are accepted, nobody waits for long', () => {
  const { host, at } = looks();
  for (let look = 0; look < 10; look++) {
    expect(at(2.5 * look)).toEqual([]);
    host.waiting = [connection(`${look}`), connection(`${look + 1}`)];
  }
});

test('who was accepted meanwhile, and waits again, is another one', () => {
  const { host, at } = looks();
  at(0);
  host.waiting = [];
  at(2.5);
  host.waiting = [connection('a')];
  expect([at(5), at(7.5)].flat()).toEqual([]);
});

test('of a full queue those tell who are refused', () => {
  const { host, at } = looks();
  host.queue = { ...QUEUE, is_full: true };
  expect([at(0), at(2.5), at(5), at(7.5)].flat()).toEqual([]);
});

test('only what is asked for', () => {
  const port = (number: number): Filter => ({
    groups: [[{ net: null, port: number }]],
    netns: null,
  });
  const other = looks(port(80));
  expect([other.at(0), other.at(5)].flat()).toEqual([]);
  const asked = looks(port(8080));
  asked.at(0);
  expect(asked.at(5)).toHaveLength(1);
});

test('what takes long is not done often', () => {
  const { host, at, done } = looks(EVERYTHING, { all_ms: 50 });
  host.waiting = [];
  for (let s = 0; s < 20; s++) at(s);
  expect(done.all).toBe(2);
});

test('where somebody waits is looked at often, also where all takes long', () => {
  const { at } = looks(EVERYTHING, { all_ms: 5000 });
  expect([at(0), at(2.5)].flat()).toEqual([]);
  expect(at(5)).toHaveLength(1);
});

test('who listens is not looked for often where that takes long, and nobody is left out', () => {
  const { host, at, done } = looks(EVERYTHING, { holders_ms: 300 });
  const waiting: Unaccepted[] = [];
  const seen = new Set<number>();
  for (let look = 0; look < 48; look++) {
    if (look < 10) waiting.push(connection(`${look}`, 40_000 + look));
    host.waiting = [...waiting];
    for (const { body } of at(2.5 * look)) seen.add(body.flow.dport);
  }
  expect(seen.size).toBe(10);
  // Of 120 s half a percent is two of them.
  expect(done.holders).toBeLessThanOrEqual(4);
});
