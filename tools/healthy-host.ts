// SPDX-License-Identifier: Apache-2.0
//
// Usage, as root: node tools/healthy-host.ts [SECONDS]
//
// Serves wrk with nginx for a minute, with and without keep-alive, while tcpwhy watches. Prints the
// summary, and fails where there is a finding, or anything unexplained.

import { setTimeout as pause } from 'node:timers/promises';
import { Lab } from '../src/lab/lab.ts';
import { Running } from '../test/kernel/tcpwhy.ts';
import { HealthyLoad, NEEDS } from '../test/software/healthy.ts';
import { lacking } from '../test/software/service.ts';

const seconds = Number(process.argv[2] ?? 60);
const missing = lacking(...NEEDS);
if (missing) throw new Error(missing);

using lab = Lab.open();
await using tcpwhy = await Running.start(process.env.REC ? ['record', '-o', process.env.REC, '--all'] : ['trace', '--all']);
await using load = await HealthyLoad.start(lab);
await pause(seconds * 1000);
const { opened } = load;
if (process.env.DEBUG) for (const ns of [lab.client, lab.server]) { const c={...ns.counters('TcpExt'),...ns.counters('Tcp')}; console.log(Object.entries(c).filter(([k,v])=>v>0).map(([k,v])=>k+' '+v).join(', '), ns.exec('sysctl',['net.ipv4.tcp_max_tw_buckets','net.ipv4.tcp_tw_reuse']), ns.exec('ss',['-s'])); }
const { findings: everywhere, summary } = await tcpwhy.stop();
const findings = everywhere.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
if (!load.running) throw new Error('the load ended too soon');

for (const { cause, severity, count, summary: text } of findings)
  console.log(`${severity} ${cause} × ${count}: ${text}`);
console.log(`${opened} connections in ${seconds} s`);
console.log(JSON.stringify(summary));
const wrong = findings.filter(({ severity }) => severity !== 'info');
process.exitCode = wrong.length === 0 && summary.unexplained === 0 ? 0 : 1;
