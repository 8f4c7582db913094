// SPDX-License-Identifier: Apache-2.0

import pack from '../package.json' with { type: 'json' };

export const VERSION: string = pack.version;
