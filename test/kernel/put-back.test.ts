// SPDX-License-Identifier: Apache-2.0

import { afterAll, beforeAll, expect, test } from 'vitest';
import { failAtOnce, knock, listen } from '../../src/lab/connections.ts';
import type { Lab } from '../../src/lab/lab.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import type { Finding } from './tcpwhy.ts';
import { Watched } from './watched.ts';

const TIMES = 7;
const PORT = 8080;
const DIALLED = { 4: '192.0.2.9', 6: '2001:db8:99::9' } as const;

let watched: Watched;

beforeAll(async () => {
  watched = await Watched.start();
});

afterAll(() => watched[Symbol.asyncDispose]());

/** Whether the host was asked before or after it was put back is up to the time: either has to be true. */
interface PutBack {
  family: 4 | 6;
  what: string;
  fail(lab: Lab, family: 4 | 6): void;
  says(finding: Finding): boolean;
}

const says = (finding: Finding) => JSON.stringify([finding.summary, finding.evidence]);
const via = (family: 4 | 6) => `via ${HOSTS[family].server}`;

function dial(lab: Lab, family: 4 | 6, errno: string): void {
  failAtOnce(lab, lab.client, { address: DIALLED[family], port: PORT }, TIMES, errno);
}

const GONE = ([4, 6] as const).flatMap((family): PutBack[] => [
  {
    family,
    what: 'a prohibit route',
    fail(lab) {
      lab.client.ip(`route add prohibit ${DIALLED[family]}`);
      dial(lab, family, 'EACCES');
      lab.client.ip(
        `route del prohibit ${DIALLED[family]}`,
        `route add ${DIALLED[family]} ${via(family)}`,
      );
    },
    says: (finding) =>
      finding.cause === 'no-route'
        ? finding.evidence.route === 'prohibit'
        : finding.basis === 'inferred' && says(finding).includes('gone when the host was asked'),
  },
  {
    family,
    what: 'an unreachable route',
    fail(lab) {
      lab.client.ip(`route add unreachable ${DIALLED[family]}`);
      dial(lab, family, 'EHOSTUNREACH');
      lab.client.ip(
        `route del unreachable ${DIALLED[family]}`,
        `route add ${DIALLED[family]} ${via(family)}`,
      );
    },
    says: (finding) => finding.cause === 'no-route' && says(finding).includes('unreachable'),
  },
  {
    family,
    what: 'no route',
    fail(lab) {
      dial(lab, family, 'ENETUNREACH');
      lab.client.ip(`route add ${DIALLED[family]} ${via(family)}`);
    },
    says: (finding) => finding.cause === 'no-route' && finding.evidence.route === null,
  },
]);

test.each(GONE)('$what, put back at once, IPv$family', async ({ family, fail, says }) => {
  const lab = watched.lab();
  fail(lab, family);
  const told = await Promise.any(['no-route', 'connect-denied'].map((cause) => found(lab, cause)));
  expect(told.every(says), JSON.stringify(told)).toBe(true);
  expect(told.reduce((sum, { count }) => sum + count, 0)).toBe(TIMES);
});

async function found(lab: Lab, cause: string): Promise<Finding[]> {
  const told = await watched.findings(lab, cause, TIMES);
  if (!told.some((finding) => finding.cause === cause)) throw new Error(cause);
  return told;
}

test('a listener that comes at once is not what refused', async () => {
  const lab = watched.lab();
  const server = { address: HOSTS[4].server, port: PORT };
  knock(lab, server, TIMES);
  using _listener = listen(lab, 4, PORT, 1);
  const told = await watched.findings(lab, 'no-listener', TIMES);
  const [finding, ...more] = told.filter(({ cause }) => cause !== 'connect-refused');
  expect(more).toEqual([]);
  expect(finding).toMatchObject({ cause: 'no-listener', count: TIMES });
});
