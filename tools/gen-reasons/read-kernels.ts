// SPDX-License-Identifier: Apache-2.0
//
// Adds the reasons of kernels to tools/gen-reasons/kernels.json, which docs/reasons.md is made from:
//
//   node tools/gen-reasons/read-kernels.ts [NAME=BTF]…     without an argument, of this kernel

import { readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { kernelEnums } from '../../src/native/binding.ts';
import { ENUMS, type Kernels } from './kernels.ts';

const file = join(import.meta.dirname, 'kernels.json');
const kernels: Kernels = JSON.parse(readFileSync(file, 'utf8'));
const short = release().match(/^\d+\.\d+/)?.[0] ?? release();
const asked = process.argv.slice(2).map((argument) => argument.split('='));
for (const [name = '', btf] of asked.length > 0 ? asked : [[short]]) {
  const found = kernelEnums(Object.keys(ENUMS), [], btf);
  kernels[name] = Object.fromEntries(
    Object.entries(ENUMS).map(([table, prefix]) => {
      const members = Object.entries(found[table] ?? {}).sort(([, a], [, b]) => a - b);
      return [table, members.map(([member]) => member.replace(prefix, ''))];
    }),
  );
}
const sorted = Object.fromEntries(
  Object.entries(kernels).sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true })),
);
writeFileSync(file, `${JSON.stringify(sorted, null, 2)}\n`);
