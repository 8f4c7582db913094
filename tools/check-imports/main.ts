// SPDX-License-Identifier: Apache-2.0

import { globSync, readFileSync } from 'node:fs';
import { importsOf } from './imports.ts';
import { RULES } from './rules.ts';

let broken = 0;
for (const file of globSync('src/**/*.{ts,tsx,js}').sort()) {
  for (const by of importsOf(file, readFileSync(file, 'utf8'))) {
    for (const rule of RULES.filter((rule) => rule.breaks(by))) {
      console.error(`${file}:${by.line}: imports ${by.to}: ${rule.says}`);
      broken += 1;
    }
  }
}
process.exitCode = broken ? 1 : 0;
