// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/gen-wire/main.ts [OUT]    writes below OUT, the root of the repository by default

import { join } from 'node:path';
import { repository, write } from '../generated.ts';
import { cHeader } from './c-header.ts';
import { messages } from './messages.ts';
import { loadProto, readSchema } from './schema.ts';
import { eventKinds, mibSlots } from './tables.ts';
import { plainTypes } from './types.ts';
import { writtenLayouts } from './written.ts';

const root = loadProto(join(repository, 'proto'));
const schema = readSchema(root);

write('bpf/include/wire.gen.h', cHeader(schema));
write('src/wire/kinds.gen.ts', eventKinds(schema));
write('src/wire/messages.gen.ts', messages(root));
write('src/wire/mib.gen.ts', mibSlots(schema));
write('src/wire/types.gen.ts', plainTypes(root));
write('src/wire/written.gen.ts', writtenLayouts(schema));
