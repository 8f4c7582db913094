// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { explain, headerWith, streamOf } from '../causes/fixture.ts';

/** Two programs that both write and do not read, recorded at one of them. */
function recorded() {
  const file = join(import.meta.dirname, 'both-windows.ndjson');
  const [, ...events] = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return explain(headerWith(), streamOf(events));
}

test('where each end keeps its own window shut, each is told, once for each connection', () => {
  const told = recorded().filter(({ severity }) => severity !== 'info');
  expect(told.map(({ cause, count }) => [cause, count])).toEqual([
    ['receiver-not-reading', 2],
    ['peer-window-shut', 2],
  ]);
});
