// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { namedBody } from '../../../src/diagnose/named.ts';
import { HostKnowledge } from '../../../src/known/host-knowledge.ts';
import { eventFromJson } from '../../../src/wire/decode.ts';
import { headerWith } from '../causes/fixture.ts';

const known = new HostKnowledge(
  headerWith({ enums: [{ name: 'skb_drop_reason', names: { 3: 'NO_SOCKET' } }] }),
);
known.learn(
  eventFromJson({ fact: { symbol: { address: '4096', name: 'tcp_v4_rcv', module: '' } } }),
);
const flow = { saddr: Buffer.alloc(16), daddr: Buffer.alloc(16), sport: 1, dport: 2 };

test('names stand beside the numbers', () => {
  const drop = {
    reason: 3,
    location: '4096',
    packet: { flow },
    sock: { flow, state: 10, owner: {} },
  };
  expect(namedBody(eventFromJson({ drop }), known)).toMatchObject({
    reason: 3,
    reason_name: 'NO_SOCKET',
    location_name: 'tcp_v4_rcv',
    sock: { state: 10, state_name: 'LISTEN' },
  });
});

test('what the host did not tell has none', () => {
  const drop = { reason: 77, location: '1', packet: { flow } };
  expect(namedBody(eventFromJson({ drop }), known)).toMatchObject({
    reason_name: '#77',
    location_name: null,
  });
});

test('states and calls', () => {
  const sock = { flow, owner: {} };
  const state = eventFromJson({ state_change: { old_state: 2, new_state: 7, sock } });
  expect(namedBody(state, known)).toMatchObject({
    old_state_name: 'SYN_SENT',
    new_state_name: 'CLOSE',
  });
  const shown = eventFromJson({ peer_name: { sock, call: 2, getname: '4096', shown_addr: '' } });
  expect(namedBody(shown, known)).toMatchObject({
    call_name: 'accept4()',
    getname_name: 'tcp_v4_rcv',
  });
});
