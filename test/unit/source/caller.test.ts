// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { callerBySudo } from '../../../src/source/caller.ts';

test.each([
  [{ SUDO_UID: '1000', SUDO_GID: '1001' }, 0, { uid: 1000, gid: 1001 }],
  // Whose group is root's is not root.
  [{ SUDO_UID: '1000', SUDO_GID: '0' }, 0, { uid: 1000, gid: 0 }],
  [{}, 0, null],
  [{ SUDO_UID: '0', SUDO_GID: '0' }, 0, null],
  [{ SUDO_UID: '1000', SUDO_GID: '1000' }, 1000, null],
  // Nobody that there is: never taken for root.
  [{ SUDO_UID: '1000' }, 0, undefined],
  [{ SUDO_UID: '' }, 0, undefined],
  [{ SUDO_UID: '-1', SUDO_GID: '-1' }, 0, undefined],
  [{ SUDO_UID: '00x', SUDO_GID: '0' }, 0, undefined],
  [{ SUDO_UID: '4294967295', SUDO_GID: '1000' }, 0, undefined],
  [{ SUDO_UID: '4294967296', SUDO_GID: '1000' }, 0, undefined],
  [{ SUDO_UID: '1000', SUDO_GID: '4294967295' }, 0, undefined],
])('%j for user %i: %j', (env, euid, found) => {
  expect(callerBySudo(env, euid)).toEqual(found);
});
