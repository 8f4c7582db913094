// SPDX-License-Identifier: Apache-2.0
//
// Usage, as root: node tools/twelve-at-once.ts [SECONDS]
//
// Makes twelve failures happen together for half a minute, beside nginx under load: the five that
// tcpwhy is for, and seven more. Prints how often each was made and reported, and fails where that differs.

import { isDeepStrictEqual } from 'node:util';
import { NEEDS } from '../test/software/healthy.ts';
import { lacking } from '../test/software/service.ts';
import { together } from '../test/software/together.ts';

const missing = lacking(...NEEDS, 'bpftool');
if (missing) throw new Error(missing);

const { failures, opened, ofHealthy, unexplained, summary } = await together(
  Number(process.argv[2] ?? 30),
);
let exact = Object.keys(ofHealthy).length === 0;
for (const { scenario, cause, beside, made, reported } of failures) {
  const told = Object.entries(reported).filter(([one]) => !beside.includes(one));
  exact &&= isDeepStrictEqual(told, [[cause, made]]);
  console.log(`${scenario}: made ${made}, reported ${JSON.stringify(reported)}`);
}
console.log(`healthy: ${opened} connections, reported ${JSON.stringify(ofHealthy)}`);
for (const { count, summary, evidence } of unexplained)
  console.log(`unexplained × ${count}: ${summary} ${JSON.stringify(evidence)}`);
console.log(JSON.stringify(summary));
process.exitCode = exact ? 0 : 1;
