// SPDX-License-Identifier: Apache-2.0

import { describe } from 'vitest';
import { failuresOf } from './cases.ts';
import { areNamed } from './named.ts';

describe('each failure of IPv4 is named, as often as it happened, and nothing else', () => {
  areNamed(failuresOf(4), 1);
});
