// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/gen-causes/main.ts [OUT]    writes below OUT, the root of the repository by default

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Cause } from '../../src/causes/define.ts';
import { read, repository, write } from '../generated.ts';
import { index, page, pagesModule, readme, registryModule } from './texts.ts';

const folder = join(repository, 'src/causes');
const ids = readdirSync(folder)
  .filter((name) => existsSync(join(folder, name, 'index.ts')))
  .sort();
// In no bundle and no registry yet: straight from the folders.
const causes: Cause[] = await Promise.all(
  ids.map(async (id) => (await import(join(folder, id, 'index.ts'))).default),
);

write('src/causes/registry.gen.ts', registryModule(ids));
write('src/causes/pages.gen.ts', pagesModule(ids));
write('README.md', readme(read('README.md'), causes));
write('docs/causes/README.md', index(causes, read('src/causes/reading.md')));
for (const cause of causes) {
  const doc = read(`src/causes/${cause.id}/doc.md`);
  write(`docs/causes/${cause.id}.md`, page(cause, doc, causes));
}
