// SPDX-License-Identifier: Apache-2.0

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sums } from '../../src/lab/conformance.ts';
import { Lab } from '../../src/lab/lab.ts';
import { type Finding, Running, type Summary } from '../kernel/tcpwhy.ts';
import type { Again } from './again.ts';
import { HealthyLoad } from './healthy.ts';

/**
 * The five failures that tcpwhy is for (one peer twice, the wrong answer, the proxy, and two of stale
 * timestamps), and seven that end connects and connections by other ways.
 */
export const TWELVE = [
  'peer-collision',
  'synack-wrong-source',
  'proxy-upstream-failed',
  'timewait-paws',
  'paws-established',
  'accept-queue-full',
  'unread-data-on-close',
  'netfilter-reject',
  'neighbour-failed',
  'conntrack-invalid',
  'no-listener/redirected',
  'bpf-drop',
];

const SETTLE_MS = 15_000;

export interface Together {
  failures: (Again & { reported: Record<string, number> })[];
  /** Connections of the healthy load, and what was said of it. */
  opened: number;
  ofHealthy: Record<string, number>;
  unexplained: Finding[];
  summary: Summary;
}

/** All twelve at once, each in a process and lab of its own, beside nginx under load. */
export async function together(seconds: number): Promise<Together> {
  using lab = Lab.open();
  await using tcpwhy = await Running.start();
  await using load = await HealthyLoad.start(lab);
  const failures = await Promise.all(
    TWELVE.map((id, index) => again(id, index % 2 ? '6' : '4', seconds)),
  );
  await tcpwhy.until(
    (output) => failures.every(({ cause, made }) => output.count(cause) >= made),
    SETTLE_MS,
  );
  const { opened } = load;
  const { findings, summary } = await tcpwhy.stop();
  const of = (netns: number[]) => sums(findings.filter(({ flow }) => netns.includes(flow.netns)));
  return {
    failures: failures.map((failure) => ({ ...failure, reported: of(failure.netns) })),
    opened,
    ofHealthy: of(lab.netnsInodes),
    unexplained: findings.filter(({ cause }) => cause === 'unexplained'),
    summary,
  };
}

async function again(id: string, family: string, seconds: number): Promise<Again> {
  const file = join(import.meta.dirname, 'again.ts');
  const args = [file, id, family, String(seconds)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout);
}
