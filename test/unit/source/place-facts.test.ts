// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { ContainerFacts } from '../../../src/source/container-facts.ts';
import { PlaceFacts } from '../../../src/source/place-facts.ts';
import { addressBytes } from '../../../src/tcp/address.ts';
import { decodeEvent } from '../../../src/wire/decode.ts';
import { FrameReader } from '../../../src/wire/frames.ts';
import { AT, BODY, WRITTEN } from '../../../src/wire/written.gen.ts';

const LAYOUT = WRITTEN[18];
const SOCK = BODY + AT.ResetReceived.sock;
const NETNS = 13;

/** A reset that a socket of this process believed. */
function record(at_s: number, pid: number, cgroup: number, daddr = '192.0.2.9'): Int32Array {
  const w = new Int32Array(LAYOUT.words);
  const view = new DataView(w.buffer);
  view.setBigUint64(4 * AT.Event.ktime_ns, BigInt(Math.round(at_s * 1e9)), true);
  w[AT.Event.netns] = NETNS;
  const flow = SOCK + AT.Sock.flow;
  const put = (place: number, address: string) =>
    new Uint8Array(w.buffer).set(addressBytes(address), 4 * place);
  put(flow + AT.Flow.saddr, '10.0.0.1');
  put(flow + AT.Flow.daddr, daddr);
  w[SOCK + AT.Sock.owner + AT.Owner.pid] = pid;
  w[SOCK + AT.Sock.owner + AT.Owner.cgroup] = cgroup;
  return w;
}

const place = (netns_name: string, path: string, ...addresses: string[]) => ({
  ...{ netns_name, path, addresses, entry: netns_name },
});

function finder(took_ms = 0, containers = new ContainerFacts(() => null)) {
  const host = {
    namespaces: new Map([
      [NETNS, place('web', '/docker/x', '10.0.0.1')],
      [14, place('', '/', '10.0.0.2', '10.0.0.3')],
      [15, place('', '/', '10.0.0.3')],
    ]),
    asked: 0,
    pids: [] as number[],
    path: '/docker/y' as string | null,
    led: [] as [number, string, number][],
  };
  let now_ms = 0;
  const asked = {
    namespaces: () => {
      host.asked++;
      now_ms += took_ms;
      return host.namespaces;
    },
    processCgroup: (pid: number) => {
      host.pids.push(pid);
      return host.path;
    },
    waysOf: () => (from: number, addr: string, home: number) => {
      host.led.push([from, addr, home]);
      return home === 16;
    },
    cgroupPath: (id: string) =>
      new Map([
        ['1', '/'],
        ['2', '/docker/z'],
      ]).get(id) ?? null,
    cpu_ms: () => now_ms,
  };
  const facts = new PlaceFacts(asked, containers);
  const of = (w: Int32Array) =>
    [...new FrameReader().push(Buffer.concat(facts.of(w, 0, LAYOUT)))].map(({ bytes }) =>
      Object.fromEntries(
        Object.entries(decodeEvent(bytes)?.body ?? {}).filter(([, value]) => value !== null),
      ),
    );
  return { of, host, facts };
}

const OWN = [
  { namespace: { netns: NETNS, netns_name: 'web', path: '/docker/x' } },
  { host_address: { addr: '10.0.0.1', netns: [NETNS] } },
];

test('an address of another namespace is told where the way leads there, asked once', () => {
  const { of, host } = finder();
  host.namespaces = new Map([
    [NETNS, place('web', '/docker/x', '10.0.0.1')],
    [14, place('', '/', '10.0.0.2')],
    [16, place('', '/', '10.0.0.4')],
  ]);
  expect(of(record(1, 0, 0, '10.0.0.2'))).toEqual(OWN);
  expect(of(record(1.1, 0, 0, '10.0.0.2'))).toEqual([]);
  expect(of(record(1.1, 0, 0, '10.0.0.4'))).toEqual([
    { host_address: { addr: '10.0.0.4', netns: [16] } },
  ]);
  expect(host.led).toEqual([
    [NETNS, '10.0.0.2', 14],
    [NETNS, '10.0.0.4', 16],
  ]);
});

test('namespaces and addresses are told once, and again where they are others', () => {
  const { of, host, facts } = finder();
  expect(of(record(1, 0, 0))).toEqual(OWN);
  expect(of(record(1.1, 0, 0))).toEqual([]);
  expect(of(record(1.2, 0, 0, '10.0.0.3'))).toEqual([
    { host_address: { addr: '10.0.0.3', netns: [14, 15] } },
  ]);
  host.namespaces = new Map([[NETNS, place('', '/docker/x')]]);
  expect(of(record(3, 0, 0))).toEqual([
    { namespace: { netns: NETNS, netns_name: '', path: '/docker/x' } },
    { host_address: { addr: '10.0.0.1', netns: [] } },
  ]);
  facts.forget();
  expect(of(record(3, 0, 0))).toHaveLength(1);
});

test('the host is asked five times a second, and no more than a third of a hundredth of the time', () => {
  const { of, host } = finder();
  for (let tenth = 10; tenth < 50; tenth++) of(record(tenth / 10, 0, 0));
  expect(host.asked).toBe(20);
  const slow = finder(200);
  for (let half = 2; half < 160; half++) slow.of(record(half / 2, 0, 0));
  expect(slow.host.asked).toBe(2);
});

test('a namespace that is new is asked for at once, but not all the time', () => {
  const { of, host } = finder();
  of(record(1, 0, 0));
  host.namespaces = new Map([[20, place('new', '/', '10.0.0.1')]]);
  const w = record(1.01, 0, 0);
  w[AT.Event.netns] = 20;
  expect(of(w)).toEqual([
    { namespace: { netns: 20, netns_name: 'new', path: '/' } },
    { host_address: { addr: '10.0.0.1', netns: [20] } },
  ]);
  const slow = finder(1);
  for (let at_ms = 1000; at_ms < 2200; at_ms++) {
    const other = record(at_ms / 1000, 0, 0);
    other[AT.Event.netns] = 99;
    slow.of(other);
  }
  expect(slow.host.asked).toBe(4);
});

test('a process is asked for where its cgroup2 says nothing', () => {
  const { of, host } = finder();
  const told = (w: Int32Array) => of(w).filter((fact) => 'process_cgroup' in fact);
  expect(told(record(1, 7, 2))).toEqual([]);
  expect(host.pids).toEqual([]);
  expect(told(record(1, 8, 1))).toEqual([{ process_cgroup: { pid: 8, path: '/docker/y' } }]);
  expect(told(record(1, 9, 3))).toEqual([{ process_cgroup: { pid: 9, path: '/docker/y' } }]);
  // Another process may have its number by now.
  expect(told(record(1.5, 8, 1))).toEqual([]);
  host.path = '/';
  expect(told(record(3, 8, 1))).toEqual([{ process_cgroup: { pid: 8, path: '/' } }]);
  host.path = null;
  expect(told(record(5, 8, 1))).toEqual([]);
  expect(host.pids).toEqual([8, 9, 8, 8]);
});

test('what a container is called is told with what is in it, once', () => {
  const [id, unnamed] = ['ab'.repeat(32), 'cd'.repeat(32)];
  const names = { container_name: 'web', pod_name: 'web-7d9f', pod_namespace: 'shop' };
  const asked: string[] = [];
  const containers = new ContainerFacts((one) => {
    asked.push(one);
    return one === id ? names : null;
  });
  const { of, host, facts } = finder(0, containers);
  host.namespaces = new Map([[NETNS, place('web', `/docker/${id}`, '10.0.0.1')]]);
  host.path = `/docker/${id}`;
  expect(of(record(1, 7, 0))).toEqual([
    { namespace: { netns: NETNS, netns_name: 'web', path: `/docker/${id}` } },
    { container: { container_id: id, ...names } },
    { host_address: { addr: '10.0.0.1', netns: [NETNS] } },
    { process_cgroup: { pid: 7, path: `/docker/${id}` } },
  ]);
  host.path = `/docker/${unnamed}`;
  expect(of(record(3, 8, 0))).toEqual([{ process_cgroup: { pid: 8, path: `/docker/${unnamed}` } }]);
  expect(asked).toEqual([id, unnamed]);
  facts.forget();
  containers.forget();
  expect(of(record(5, 0, 0))).toContainEqual({ container: { container_id: id, ...names } });
});
