// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { dialledBy } from '../../../src/causes/shared/dialled-by.ts';
import type { Knowledge } from '../../../src/known/knowledge.ts';
import type { Event } from '../../../src/wire/event.ts';
import type { Hooked, Owner } from '../../../src/wire/types.gen.ts';

const hooked = (cgroup_path: string) =>
  ({ hook: 'cgroup connect4', program: 'lb', program_id: 5, cgroup_path }) as Hooked;

test.each([
  ['/shop', '/shop', true],
  ['/shop/web', '/shop', true],
  ['/shop/web', '/', true],
  ['/shop-2', '/shop', false],
  ['/shop', '/shop/web', false],
  [null, '/', false],
])('of a process in %s, a program of %s: %s', (path, cgroup, isOne) => {
  const known = {
    cgroupPath: () => path,
    asked: () => ({ hooked: [hooked(cgroup)] }),
  } as unknown as Knowledge;
  const said = dialledBy({} as Event, {} as Owner, known).may_stand_for_another;
  expect(said).toEqual(isOne ? [`program lb (id 5) at cgroup connect4 of ${cgroup}`] : undefined);
});
