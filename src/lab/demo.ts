// SPDX-License-Identifier: Apache-2.0

import { setTimeout } from 'node:timers/promises';
import { lacks } from './conformance.ts';
import { Lab } from './lab.ts';
import type { Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';

const PAUSE_MS = 300;

/** Every failure that can be made here, one after the other, again and again, each in a lab that stays. */
export async function makeFailures(rounds: number): Promise<void> {
  const scenarios = SCENARIOS.filter((scenario) => lacks(scenario, 4) === null);
  const labs = new Map<Scenario, Lab>();
  for (let round = 0; round < rounds; round++) {
    for (const [index, scenario] of scenarios.entries()) {
      const family =
        scenario.families[(index + Math.floor(index / 2)) % scenario.families.length] ?? 4;
      const options = { times: 1 + ((round + 3 * index) % 5), family };
      let lab = labs.get(scenario);
      try {
        if (!lab) {
          lab = Lab.open();
          labs.set(scenario, lab);
          scenario.prepare?.(lab, options);
        }
        scenario.run(lab, options);
      } catch (error) {
        process.stderr.write(`demo: ${scenario.id}: ${error}\n`);
        lab?.close();
        labs.delete(scenario);
      }
      await setTimeout(PAUSE_MS);
    }
  }
}
