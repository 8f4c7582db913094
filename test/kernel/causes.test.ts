// SPDX-License-Identifier: Apache-2.0

import { describe } from 'vitest';
import { failuresOfHost, notable } from './causes/cases.ts';
import { areNamed } from './causes/named.ts';

describe('each failure of the whole host is named, as often as it happened, and nothing else', () => {
  areNamed(failuresOfHost(), 1);
});

describe('each notable thing that is no failure is named, as often as it happened, and nothing else', () => {
  areNamed(notable(), 0);
});
