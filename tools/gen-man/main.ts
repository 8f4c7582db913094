// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/gen-man/main.ts [OUT]    writes below OUT, the root of the repository by default

import { COMMANDS } from '../../src/app/commands.ts';
import { VERSION } from '../../src/version.ts';
import { write } from '../generated.ts';
import { manPage } from './texts.ts';

write('docs/tcpwhy.1', manPage(COMMANDS, VERSION));
