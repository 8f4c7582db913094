// SPDX-License-Identifier: Apache-2.0

import { join } from 'node:path';
import { Lab } from '../../src/lab/lab.ts';
import type { Scenario } from '../../src/lab/scenario.ts';
import { Running } from './tcpwhy.ts';

export interface Expected {
  client: Record<string, number>;
  server: Record<string, number>;
}

/**
 * The failures as two hosts saw them: each recorded in its own namespace of one lab, to
 * client.tcpwhy and server.tcpwhy. Comes back once both saw what is expected of them.
 */
export async function recordTwoHosts(
  scenarios: readonly Scenario[],
  times: number,
  folder: string,
  expected: Expected,
): Promise<{ client: string; server: string }> {
  using lab = Lab.open();
  for (const scenario of scenarios) scenario.prepare?.(lab, { times, family: 4 });
  const files = { client: join(folder, 'client.tcpwhy'), server: join(folder, 'server.tcpwhy') };
  await using client = await Running.start([
    'record',
    '-o',
    files.client,
    '--netns',
    lab.client.name,
  ]);
  await using server = await Running.start([
    'record',
    '-o',
    files.server,
    '--netns',
    lab.server.name,
  ]);
  for (const scenario of scenarios) scenario.run(lab, { times, family: 4 });
  for (const [host, running] of Object.entries({ client, server })) {
    const wanted = Object.entries(expected[host as keyof Expected]);
    const seen = await running.until((output) =>
      wanted.every(([cause, count]) => output.count(cause) === count),
    );
    if (!seen)
      throw new Error(
        `${host} saw ${JSON.stringify(running.output.findings.map(({ cause, count }) => [cause, count]))}`,
      );
    await running.stop();
  }
  return files;
}
