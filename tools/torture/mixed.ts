// SPDX-License-Identifier: Apache-2.0
//
// Usage, as root: node tools/torture/mixed.ts SECONDS SAMPLES    prints what tools/torture/main.ts tells of it

import { mixed } from './storms.ts';

const [seconds, samples] = process.argv.slice(2).map(Number);
console.log(JSON.stringify(await mixed(seconds ?? 60, samples ?? 1)));
