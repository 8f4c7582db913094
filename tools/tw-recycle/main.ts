// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/tw-recycle/main.ts FOLDER…
//
// Makes FOLDER.tcpwhy of what a kernel with tcp_tw_recycle did, which no live kernel that tcpwhy
// runs on has any more: `pcap` (taken on the server's device), `before.netstat` and `after.netstat`
// (/proc/net/netstat of the server), `metrics-after-first-close.txt` (ip tcp_metrics) and
// `sysctls.txt`. Those of test/recordings/tw-recycle-4.9 are of a live Linux 4.9.

import { writeFileSync } from 'node:fs';
import { recordingOf } from './recording.ts';

for (const folder of process.argv.slice(2)) writeFileSync(`${folder}.tcpwhy`, recordingOf(folder));
