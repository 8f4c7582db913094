// SPDX-License-Identifier: Apache-2.0

import { globSync, readFileSync } from 'node:fs';
import { circlesIn } from './circles.ts';
import { importsOf } from './imports.ts';
import { RULES } from './rules.ts';

const imports = globSync('{src,test,tools}/**/*.{ts,tsx,js}')
  .sort()
  .flatMap((file) => importsOf(file, readFileSync(file, 'utf8')));
const complaints = [
  ...imports
    .filter(({ from }) => from.startsWith('src/'))
    .flatMap((by) =>
      RULES.filter((rule) => rule.breaks(by)).map(
        ({ says }) => `${by.from}:${by.line}: imports ${by.to}: ${says}`,
      ),
    ),
  ...circlesIn(imports).map((way) => `imports in a circle: ${way.join(' → ')}`),
];
for (const complaint of complaints) console.error(complaint);
process.exitCode = complaints.length > 0 ? 1 : 0;
