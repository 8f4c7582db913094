// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { causesIn, opened } from './captures.ts';

const [CLIENT, SERVER] = ['10.4.26.45:40000', '10.4.26.11:80'];

test('data after what was sent again and again goes on with nothing', () => {
  const rows = opened(CLIENT, SERVER, { isn: 1000, server_isn: 5000 });
  const data = { from: CLIENT, to: SERVER, flags: 'P.', ack: 5001 };
  const again = [200, 300, 500, 700, 900].map((at_ms) => ({ ...data, at_ms, seq: 1101, len: 10 }));
  const more = { ...data, at_ms: 3000, seq: 1111, len: 10 };
  const later = opened('10.4.26.46:40000', SERVER, { at_ms: 5000 });
  expect(causesIn([...rows, ...again, ...later])).toEqual({});
  expect(causesIn([...rows, ...again, more, ...later])).toEqual({ 'data-unanswered': 1 });
});
