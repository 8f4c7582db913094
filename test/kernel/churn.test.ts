// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { forkStorm, netnsChurn } from '../software/churn.ts';
import { type Finding, type Output, Running } from './tcpwhy.ts';

const PROCESSES = 2000;
const NAMESPACES = 30;
const CONNECTIONS = 10;

/** Findings about what was done here, but for benign ones. */
function told({ findings }: Output, isHere: (flow: Finding['flow']) => boolean): Finding[] {
  return findings.filter(({ cause, flow }) => cause !== 'benign' && isHere(flow));
}

/** What the summary counts as lost was said while it was lost. */
function expectLossesSaid({ objects, summary, status }: Output): void {
  const said = objects.flatMap((line) =>
    line.type === 'loss' && line.name.startsWith('records_') ? [line.count] : [],
  );
  expect(said.reduce((sum, count) => sum + count, 0)).toBe(summary.lost);
  // Whatever else happened on this host meanwhile.
  expect([0, 1]).toContain(status);
}

it('says nothing of processes and network namespaces that come and go with connections', async () => {
  await using tcpwhy = await Running.start();
  const port = await forkStorm(PROCESSES);
  const inodes = await netnsChurn(NAMESPACES, CONNECTIONS);
  const output = await tcpwhy.stop();
  const here = told(output, ({ saddr, sport, dport, netns }) => {
    // Somebody else's new namespace may have the inode number of one that is gone.
    const isLoopback = saddr === '127.0.0.1';
    return isLoopback && (sport === port || dport === port || inodes.includes(netns));
  });
  expect(here).toEqual([]);
  expectLossesSaid(output);
});
