// SPDX-License-Identifier: Apache-2.0

import { setImmediate as yielded } from 'node:timers/promises';
import type { Lab } from '../../../src/lab/lab.ts';
import { HOSTS } from '../../../src/lab/wiring.ts';
import { HealthyLoad } from '../../../test/software/healthy.ts';

const AT_ONCE = 200;
const PORT = 3306;

/** Makes something happen in a lab until it is disposed of. */
export type Load = (lab: Lab) => Promise<AsyncDisposable & { happened: () => number }>;

export const LOADS: Record<string, Load> = {
  'a web load': webLoad,
  'a storm of refused connects': storm,
};

async function webLoad(lab: Lab) {
  const load = await HealthyLoad.start(lab);
  return {
    happened: () => load.opened,
    [Symbol.asyncDispose]: () => load[Symbol.asyncDispose](),
  };
}

async function storm(lab: Lab) {
  const sockets = ([4, 6] as const).map(
    (family) => [family, lab.socket(lab.client, { family })] as const,
  );
  let refused = 0;
  let ended = false;
  const over = (async () => {
    while (!ended) {
      for (let i = 0; i < AT_ONCE; i++) {
        for (const [family, socket] of sockets) {
          const { error } = socket.connect(HOSTS[family].server, PORT);
          if (error === 'ECONNREFUSED') refused++;
        }
      }
      await yielded();
    }
  })();
  return {
    happened: () => refused,
    [Symbol.asyncDispose]: async () => {
      ended = true;
      await over;
    },
  };
}
