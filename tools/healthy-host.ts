// SPDX-License-Identifier: Apache-2.0
//
// Usage, as root: node tools/healthy-host.ts [SECONDS]
//
// Serves wrk with nginx for a minute, over both families, with and without keep-alive, while tcpwhy
// watches. Prints what it says, and fails where there is a finding at warning or above, or anything
// unexplained.

import { setTimeout as pause } from 'node:timers/promises';
import { Lab } from '../src/lab/lab.ts';
import { Running } from '../test/kernel/tcpwhy.ts';
import { HealthyLoad, NEEDS } from '../test/software/healthy.ts';
import { lacking } from '../test/software/service.ts';

const seconds = Number(process.argv[2] ?? 60);
const missing = lacking(...NEEDS);
if (missing) throw new Error(missing);

using lab = Lab.open();
await using tcpwhy = await Running.start(['trace', '--all']);
await using load = await HealthyLoad.start(lab);
await pause(seconds * 1000);
const { opened, running } = load;
const { findings, summary } = await tcpwhy.stop();
if (!running) throw new Error('the load ended too soon');

const here = findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
for (const { cause, severity, count, summary: text } of here)
  console.log(`${severity} ${cause} × ${count}: ${text}`);
console.log(`${opened} connections in ${seconds} s`);
console.log(JSON.stringify(summary));
const wrong = here.filter(({ cause, severity }) => severity !== 'info' || cause === 'unexplained');
console.log(`${wrong.length} findings that should not be`);
process.exitCode = wrong.length === 0 ? 0 : 1;
