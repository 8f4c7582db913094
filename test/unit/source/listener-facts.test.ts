// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { ListenerFacts, parseHolders } from '../../../src/source/listener-facts.ts';
import { decodeEvent } from '../../../src/wire/decode.ts';
import { FrameReader } from '../../../src/wire/frames.ts';
import { AT, BODY, WRITTEN } from '../../../src/wire/written.gen.ts';
import { layoutNumbered } from '../../../src/wire/written.ts';

const SYN_RECEIVED = 16;
const STATE_CHANGE = 20;
const LISTENER = 0xffff_8881n;
const TCP_LISTEN = 10;

/** A SYN that was refused by a listener, as BPF writes it. */
function refused(at_s: number, ifindex: number, id = LISTENER): Int32Array {
  const w = new Int32Array(WRITTEN[SYN_RECEIVED].words);
  const view = new DataView(w.buffer);
  view.setBigUint64(4 * AT.Event.ktime_ns, BigInt(Math.round(at_s * 1e9)), true);
  w[AT.Event.netns] = 7;
  const sock = BODY + AT.SynReceived.listener;
  view.setBigUint64(4 * (sock + AT.Sock.id), id, true);
  w[sock + AT.Sock.state] = TCP_LISTEN;
  w[sock + AT.Sock.bound_ifindex] = ifindex;
  return w;
}

/** A listener that comes. */
function begins(at_s: number, id = LISTENER): Int32Array {
  const w = new Int32Array(WRITTEN[STATE_CHANGE].words);
  const view = new DataView(w.buffer);
  view.setBigUint64(4 * AT.Event.ktime_ns, BigInt(Math.round(at_s * 1e9)), true);
  const sock = BODY + AT.StateChange.sock;
  view.setBigUint64(4 * (sock + AT.Sock.id), id, true);
  w[sock + AT.Sock.state] = TCP_LISTEN;
  return w;
}

function holder(listener: bigint, pid: number, comm: string): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeBigUInt64LE(listener);
  bytes.writeUInt32LE(pid, 8);
  bytes.write(comm, 16);
  return bytes;
}

class Host {
  asked = 0;
  now_ms = 0;
  takes_ms = 0;
  names = new Map([[3, 'eth1']]);
  open = [holder(LISTENER, 11, 'master'), holder(LISTENER, 12, 'worker')];

  deviceName(_netns: number, ifindex: number): string | null {
    return this.names.get(ifindex) ?? null;
  }

  holders(): Buffer {
    this.asked++;
    this.now_ms += this.takes_ms;
    return Buffer.concat(this.open);
  }
}

function told(facts: ListenerFacts, record: Int32Array, kind = SYN_RECEIVED): object[] {
  const layout = layoutNumbered(kind);
  if (!layout) throw new Error('no such record');
  const frames = new FrameReader().push(Buffer.concat(facts.of(record, 0, layout)));
  return [...frames].map(({ bytes }) => {
    const event = decodeEvent(bytes);
    const fact = event?.kind === 'fact' ? event.body : null;
    return fact?.device ?? fact?.holders ?? {};
  });
}

test('every process that has a listener open is told, once each', () => {
  const host = new Host();
  host.open.push(holder(LISTENER, 12, 'worker'), holder(1n, 99, 'other'));
  expect(told(new ListenerFacts(host), refused(1, 0))).toEqual([
    {
      listener: String(LISTENER),
      processes: [
        { pid: 11, comm: 'master' },
        { pid: 12, comm: 'worker' },
      ],
    },
  ]);
});

test('in a storm they are asked for every ten seconds, and told again then', () => {
  const host = new Host();
  const facts = new ListenerFacts(host);
  for (let at = 1; at < 10; at += 0.1) told(facts, refused(at, 0));
  expect(host.asked).toBe(1);
  host.open.pop();
  expect(told(facts, refused(11.5, 0))).toEqual([
    { listener: String(LISTENER), processes: [{ pid: 11, comm: 'master' }] },
  ]);
  expect(host.asked).toBe(2);
});

test('a listener that comes at the address of another is asked for anew', () => {
  const host = new Host();
  const facts = new ListenerFacts(host);
  told(facts, refused(1, 0));
  host.open = [holder(LISTENER, 21, 'next')];
  expect(told(facts, begins(2), STATE_CHANGE)).toEqual([]);
  expect(told(facts, refused(3, 0))).toEqual([
    { listener: String(LISTENER), processes: [{ pid: 21, comm: 'next' }] },
  ]);
});

test('of several that begin to refuse some are asked for at once, and of many few, however long it takes', () => {
  const host = new Host();
  host.takes_ms = 100;
  host.open = Array.from({ length: 200 }, (_, i) => holder(LISTENER + BigInt(i), i + 1, 'each'));
  const facts = new ListenerFacts(host, () => host.now_ms);
  const refuses = (i: number, at_s: number) =>
    told(facts, refused(at_s, 0, LISTENER + BigInt(i))).length;
  let sum = 0;
  for (let i = 0; i < 5; i++) sum += refuses(i, 1 + i / 100);
  expect(sum).toBe(5);
  for (let i = 5; i < 200; i++) refuses(i, 1 + i / 10);
  expect(host.asked).toBeGreaterThanOrEqual(20);
  expect(host.asked).toBeLessThanOrEqual(26);
});

test('a device is told with its name, and again when it has another', () => {
  const host = new Host();
  host.open = [];
  const facts = new ListenerFacts(host);
  const device = (name: string) => [{ netns: 7, ifindex: 3, device: name }];
  expect(told(facts, refused(1, 3))).toEqual(device('eth1'));
  host.names.set(3, 'wan0');
  expect(told(facts, refused(2, 3))).toEqual([]);
  expect(told(facts, refused(12, 3))).toEqual(device('wan0'));
  expect(told(facts, refused(24, 3))).toEqual([]);
  facts.forget();
  expect(told(facts, refused(25, 3))).toEqual(device('wan0'));
});

test('a device or a process that is gone is not told', () => {
  const host = new Host();
  host.open = [];
  expect(told(new ListenerFacts(host), refused(1, 4))).toEqual([]);
});

test('what an iterator was cut off in is left out', () => {
  const bytes = Buffer.concat([holder(5n, 1, 'a'), holder(6n, 2, 'b').subarray(0, 20)]);
  expect([...parseHolders(bytes).keys()]).toEqual(['5']);
});
