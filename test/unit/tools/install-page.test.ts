// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { installPage } from '../../../tools/dist/install-page.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../../docs/install.md'), 'utf8');
const ROW = {
  ...{ suite: 'bookworm', debian: '12.1', glibc: '2.36', start_ms: 100, ok: false },
  commands: { doctor: null, trace: 'it did not' },
};

test('what failed says so, in place of the table that was there', () => {
  const page = installPage(PAGE, [ROW], 'Linux 6.1');
  expect(page).toContain(
    '| Debian 12.1 (bookworm) | 2.36 | yes | it did not | 100 ms |\n<!-- roots',
  );
  expect(page).not.toContain('trixie');
  expect(installPage(page, [ROW], 'Linux 6.1')).toBe(page);
  expect(() => installPage('a page', [ROW], 'Linux 6.1')).toThrow('no place');
});
