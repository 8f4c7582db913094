// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { sidesOf } from '../../../src/diagnose/sides.ts';
import { TCP_FLAG } from '../../../src/tcp/flags.ts';
import { TCP_STATE } from '../../../src/tcp/states.ts';
import type { Event } from '../../../src/wire/event.ts';

const FLOW = { saddr: '10.0.0.1', sport: 4000, daddr: '10.0.0.2', dport: 80 };
const BACK = { saddr: '10.0.0.2', sport: 80, daddr: '10.0.0.1', dport: 4000 };
const { syn, ack } = TCP_FLAG;

const of = (body: object, flow = FLOW) => sidesOf({ body } as unknown as Event, flow);
const packet = (more: object = {}) => ({
  flow: FLOW,
  flags: ack,
  seq: 100,
  ack_seq: 200,
  ifindex: 2,
  ...more,
});
const client = (isn: number | null = null) => ({ address: '10.0.0.1', port: 4000, isn });
const server = (isn: number | null = null) => ({ address: '10.0.0.2', port: 80, isn });

test('of a packet that arrived its destination is here', () => {
  expect(of({ packet: packet() })).toEqual({ local: server(), peer: client(), source: null });
});

test('of one that was made here its source is', () => {
  expect(of({ packet: packet({ ifindex: 0 }) })).toMatchObject({
    local: client(),
    peer: server(),
  });
});

test('of one that only passes neither end is here', () => {
  expect(of({ packet: packet(), leaves_ifindex: 3 })).toEqual({
    local: null,
    peer: server(),
    source: client(),
  });
});

test('of a socket its own end is here, whichever way the flow is written', () => {
  expect(of({ sock: { flow: FLOW } })).toMatchObject({ local: client(), peer: server() });
  expect(of({ sock: { flow: BACK } })).toMatchObject({ local: server(), peer: client() });
});

test('a flow that is of another connection than the event has no known ends', () => {
  const other = { ...FLOW, saddr: '10.0.0.9', daddr: '10.0.0.8' };
  expect(of({ packet: packet() }, other).local).toBeNull();
});

test('a SYN tells the number of who dials, and its answer that of both', () => {
  expect(of({ packet: packet({ flags: syn }) })).toMatchObject({
    local: server(null),
    peer: client(100),
  });
  const answer = packet({ flow: BACK, flags: syn | ack, seq: 500, ack_seq: 0 });
  expect(of({ packet: answer })).toMatchObject({
    local: client(0xffffffff),
    peer: server(500),
  });
});

test('a socket whose SYN was not answered tells its own', () => {
  const sock = { flow: FLOW, state: TCP_STATE.CLOSE, snd_nxt: 701 };
  expect(of({ sock: { ...sock, previous_state: TCP_STATE.SYN_SENT } }).local).toEqual(client(700));
  expect(of({ sock: { ...sock, previous_state: TCP_STATE.ESTABLISHED } }).local).toEqual(client());
});

test('a connection tells that of its peer where the event has it', () => {
  const sock = { flow: BACK, state: TCP_STATE.ESTABLISHED, previous_state: TCP_STATE.ESTABLISHED };
  expect(of({ packet: packet(), sock, peer_isn: 9 })).toMatchObject({ peer: client(9) });
});
