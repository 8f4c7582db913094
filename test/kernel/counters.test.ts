// SPDX-License-Identifier: Apache-2.0

import { areCounted } from './counted.ts';

areCounted(false);
