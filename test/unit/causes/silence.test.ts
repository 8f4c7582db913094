// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { firstIsFull, firstIsFullText } from '../../../src/causes/shared/path-mtu.ts';
import { ofSilence } from '../../../src/causes/shared/silence.ts';
import type { Stalled } from '../../../src/known/stalls.ts';
import { TCP_STATE } from '../../../src/tcp/states.ts';
import type { Event } from '../../../src/wire/event.ts';
import type { Sock } from '../../../src/wire/types.gen.ts';

const flow = { saddr: '10.0.0.1', sport: 40_000, daddr: '10.0.0.2', dport: 80, service: 2 };
const OWNER = { pid: 0, comm: '', cgroup: '0' };

/** When it began, which ended 10 s after the host did: the kernel's stamp is 3 s old, and the peer was heard 4 s before. */
function began_s(old_state: number): number | undefined {
  const sock = { flow, owner: OWNER, silent_ms: 4000 } as unknown as Sock;
  const event = { kind: 'state_change', netns: 1, ktime_ns: 10e9, body: { old_state, sock } };
  const { began_ns } = ofSilence(event as unknown as Event, sock, 3000);
  return began_ns === undefined ? undefined : began_ns / 1e9;
}

test('a connection is silent from when its peer was heard last, a connect from its first SYN', () => {
  expect(began_s(TCP_STATE.ESTABLISHED)).toBe(6);
  expect(began_s(TCP_STATE.SYN_SENT)).toBe(7);
});

test('a peer that is heard while the first that was sent waits is there', () => {
  const first = (is_first: boolean, silent_ms: number) => {
    const large = { segment_bytes: 1448, smaller_arrived: false, is_first };
    return firstIsFull({ large, since_ms: 3000 } as Stalled, silent_ms);
  };
  expect(first(true, 3200)).toEqual({ full_segment_bytes: 1448 });
  expect(first(true, 1500)).toEqual({ full_segment_bytes: 1448, heard_meanwhile: true });
  // Full segments passed before: it is not their size.
  expect(first(false, 3200)).toEqual({});
  expect(firstIsFull(null, 0)).toEqual({});
  expect(firstIsFullText(first(true, 1500))).toMatch(/peer was heard meanwhile/);
  expect(firstIsFullText(first(true, 3200))).not.toMatch(/heard/);
});
