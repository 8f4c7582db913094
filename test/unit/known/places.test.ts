// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { Places, type Resident } from '../../../src/known/places.ts';
import { TCP_STATE } from '../../../src/tcp/states.ts';
import { eventFromJson } from '../../../src/wire/decode.ts';

const [SERVER, CLIENT, HOST] = [11, 12, 13];
const ID = 'ab'.repeat(32);

const bytes = (address: string) => [...Array(10).fill(0), 255, 255, ...address.split('.')];

/** As the wire has it: with addresses as bytes. */
const flowOf = (saddr: string, sport: number, daddr: string, dport: number) => ({
  ...{ saddr: bytes(saddr), sport, daddr: bytes(daddr), dport },
});
const plain = (saddr: string, sport: number, daddr: string, dport: number) => ({
  ...{ saddr, sport, daddr, dport, service: 2 },
});
const owner = (pid: number, cgroup = '0') => ({ pid, cgroup, comm: Buffer.from(`p${pid}`) });

function places(...events: object[]) {
  const all = new Places();
  for (const event of events) all.learn(eventFromJson({ ktime_ns: 1, ...event } as never));
  return all;
}

const address = (addr: string, ...netns: number[]) => ({
  fact: { host_address: { addr: bytes(addr), netns } },
});
const reset = (netns: number, pid: number, flow: object, ktime_ns = 1) => ({
  ...{
    ktime_ns,
    netns,
    reset_received: { sock: { state: TCP_STATE.CLOSE, flow, owner: owner(pid) } },
  },
});

const NOBODY = { listenersOnPort: () => [], holders: () => [] };
const IN_HOST = { netns: HOST, ktime_ns: 1e9 } as never;
const who = (found: Resident[]) => found.map(({ addr, netns, owner }) => [addr, netns, owner?.pid]);

const TO_SERVER = ['10.0.0.2', 40000, '10.0.0.1', 80] as const;

test('both ends of a segment that is forwarded are found, by their sockets or their addresses', () => {
  const known = places(reset(CLIENT, 7, flowOf(...TO_SERVER)), address('10.0.0.1', SERVER), {
    fact: { namespace: { netns: SERVER, netns_name: 'web', path: `/docker/${ID}` } },
  });
  const found = known.residents(plain(...TO_SERVER), IN_HOST, NOBODY);
  expect(who(found)).toEqual([
    ['10.0.0.2', CLIENT, 7],
    ['10.0.0.1', SERVER, undefined],
  ]);
  expect(found[1]).toMatchObject({ netns_name: 'web', place: { container_id: ID } });
});

test('a container has the names that its runtime gave it', () => {
  const known = places(
    reset(SERVER, 7, flowOf('10.0.0.1', 80, '10.0.0.2', 40000)),
    { fact: { process_cgroup: { pid: 7, path: `/docker/${ID}` } } },
    { fact: { container: { container_id: ID, container_name: 'web', pod_name: 'web-7d9f' } } },
  );
  const [found] = known.residents(plain(...TO_SERVER), IN_HOST, NOBODY);
  expect(found?.place).toMatchObject({
    ...{ container_id: ID, container_name: 'web', pod_name: 'web-7d9f' },
  });
  expect(found?.place).not.toHaveProperty('pod_namespace');
});

test('a process is of its own container, whatever else is in its namespace', () => {
  const known = places(
    reset(SERVER, 7, flowOf('10.0.0.1', 80, '10.0.0.2', 40000)),
    { fact: { process_cgroup: { pid: 7, path: `/docker/${ID}` } } },
    { fact: { namespace: { netns: SERVER, path: '/' } } },
  );
  // Nothing tells where the client is.
  expect(known.residents(plain(...TO_SERVER), IN_HOST, NOBODY)).toMatchObject([
    { addr: '10.0.0.1', netns: SERVER, netns_name: null, place: { container_id: ID } },
  ]);
});

test('nobody is named where it may be somebody else', () => {
  const flow = flowOf(...TO_SERVER);
  // Two namespaces with the same addresses, told of by their sockets and by themselves.
  expect(
    places(reset(CLIENT, 7, flow), reset(SERVER, 8, flow)).residents(
      plain(...TO_SERVER),
      IN_HOST,
      NOBODY,
    ),
  ).toEqual([]);
  // By its address it is of one of the two; whose socket it is nobody knows.
  expect(
    who(
      places(
        reset(CLIENT, 7, flow),
        reset(SERVER, 8, flow),
        address('10.0.0.2', CLIENT, HOST),
      ).residents(plain(...TO_SERVER), { netns: CLIENT, ktime_ns: 1e9 } as never, NOBODY),
    ),
  ).toEqual([['10.0.0.2', CLIENT, undefined]]);
  expect(
    places(address('10.0.0.1', SERVER, CLIENT)).residents(plain(...TO_SERVER), IN_HOST, NOBODY),
  ).toEqual([]);
  // Long ago.
  expect(
    places(reset(CLIENT, 7, flow, 1)).residents(
      plain(...TO_SERVER),
      { netns: HOST, ktime_ns: 3e9 } as never,
      NOBODY,
    ),
  ).toEqual([]);
  // The address had gone away.
  expect(
    places(address('10.0.0.1', SERVER), address('10.0.0.1')).residents(
      plain(...TO_SERVER),
      IN_HOST,
      NOBODY,
    ),
  ).toEqual([]);
});

test('where a failure is seen, an address of that namespace is its own', () => {
  const known = places(address('10.0.0.1', SERVER, HOST));
  expect(who(known.residents(plain(...TO_SERVER), IN_HOST, NOBODY))).toEqual([
    ['10.0.0.1', HOST, undefined],
  ]);
  const loopback = plain('127.0.0.1', 40000, '127.0.0.1', 80);
  expect(known.residents(loopback, IN_HOST, NOBODY)).toHaveLength(2);
});

test('who listens there is the process, one that took the listener over too, but of several none', () => {
  const sock = (id: string, pid: number) => ({
    ...{ id, owner: owner(pid), flow: { saddr: '0.0.0.0', sport: 80 }, ipv6_only: 0 },
  });
  const known = places(address('10.0.0.1', SERVER));
  const pids = (listeners: object[], holders: object[] = []) =>
    known
      .residents(plain(...TO_SERVER), IN_HOST, {
        listenersOnPort: () => listeners as never,
        holders: () => holders as never,
      })
      .map(({ owner }) => owner?.pid);
  const one = { netns: SERVER, sock: sock('1', 7) };
  expect(pids([one])).toEqual([7]);
  expect(pids([one], [{ pid: 9, comm: 'heir' }])).toEqual([9]);
  expect(pids([one, { netns: CLIENT, sock: sock('2', 8) }])).toEqual([7]);
  expect(pids([one, { netns: SERVER, sock: sock('2', 8) }])).toEqual([undefined]);
});

test('of an earlier event is told what was so then', () => {
  const at = (ktime_ns: number, netns: number, netns_name: string) => [
    { ktime_ns, ...address('10.0.0.1', netns) },
    { ktime_ns, fact: { namespace: { netns, netns_name, path: '/' } } },
  ];
  const known = places(
    ...at(1e9, SERVER, 'old'),
    ...at(5e9, CLIENT, 'other'),
    ...at(9e9, SERVER, 'new'),
  );
  const names = (ktime_ns: number) =>
    known
      .residents(plain(...TO_SERVER), { netns: HOST, ktime_ns } as never, NOBODY)
      .map(({ netns_name }) => netns_name);
  // Of the same tick, but of another CPU.
  expect(names(0.9e9)).toEqual(['old']);
  expect(names(0.5e9)).toEqual([]);
  expect(names(4.9e9)).toEqual(['old']);
  expect(names(5e9)).toEqual(['other']);
  expect(names(10e9)).toEqual(['new']);
});
