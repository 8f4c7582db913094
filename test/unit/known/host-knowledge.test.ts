// SPDX-License-Identifier: Apache-2.0

import { beforeEach, expect, test } from 'vitest';
import { HostKnowledge } from '../../../src/known/host-knowledge.ts';
import { eventFromJson } from '../../../src/wire/decode.ts';
import type { Header } from '../../../src/wire/types.gen.ts';

const ADDRESS = '18446744072635809792';

let known: HostKnowledge;
beforeEach(() => {
  known = new HostKnowledge({
    enums: [],
    hooks: [],
    sysctls: {},
    filters: [],
  } as unknown as Header);
});

function name(name: string, module: string): void {
  known.learn(eventFromJson({ fact: { symbol: { address: ADDRESS, name, module } } }));
}

test('an address is called what was told last', () => {
  expect(known.symbol(ADDRESS)).toBe(null);
  name('inet_getname_a', 'toa_a');
  expect(known.symbol(ADDRESS)).toMatchObject({ name: 'inet_getname_a', module: 'toa_a' });
  name('inet_getname_b', 'toa_b');
  expect(known.symbol(ADDRESS)).toMatchObject({ name: 'inet_getname_b', module: 'toa_b' });
});

test('a name that is taken back is none', () => {
  name('inet_getname_a', 'toa_a');
  name('', '');
  expect(known.symbol(ADDRESS)).toBe(null);
});
