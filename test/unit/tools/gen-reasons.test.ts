// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { dropOutcome, resetOutcome } from '../../../tools/gen-reasons/sweep.ts';

const NOTHING = { causes: [], benign: [] };

test('a cause that asks for the reason is found', () => {
  expect(dropOutcome('IP_RPFILTER', false).causes).toEqual(['rp-filter']);
  expect(resetOutcome('TCP_ABORT_ON_CLOSE').causes).toContain('unread-data-on-close');
});

test('what would be said of any reason is not said of one', () => {
  expect(dropOutcome('NO_SUCH_REASON', true)).toEqual(NOTHING);
  expect(resetOutcome('NO_SUCH_REASON')).toEqual(NOTHING);
});

test('a reason that comes from one place has what is proved without it, too', () => {
  const { causes } = resetOutcome('NO_SOCKET');
  expect(causes).toContain('no-listener');
  expect(causes).not.toContain('linger-zero-close');
  expect(resetOutcome('TCP_STATE').causes).toContain('linger-zero-close');
});

test('ordinary traffic is told', () => {
  expect(dropOutcome('TCP_OLD_DATA', false).benign).toHaveLength(1);
  expect(dropOutcome('TCP_OLD_DATA', false).causes).toEqual([]);
});
