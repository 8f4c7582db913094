// SPDX-License-Identifier: Apache-2.0
//
// node test/software/again.ts SCENARIO FAMILY SECONDS
//
// Makes a scenario's failure happen again and again in one lab, and says as JSON how often and where.

import { setTimeout as pause } from 'node:timers/promises';
import { TIMES } from '../../src/lab/conformance.ts';
import { Lab } from '../../src/lab/lab.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';

export interface Again {
  scenario: string;
  cause: string;
  beside: readonly string[];
  /** How often it happened. */
  made: number;
  netns: number[];
}

const PAUSE_MS = 200;

const [id, family, seconds] = process.argv.slice(2);
const scenario = SCENARIOS.find((one) => one.id === id);
if (!scenario || !(family === '4' || family === '6'))
  throw new Error(`no scenario ${id} ${family}`);
const options = { times: TIMES, family: family === '4' ? 4 : 6 } as const;

using lab = Lab.open();
scenario.prepare?.(lab, options);
const end = performance.now() + Number(seconds) * 1000;
let made = 0;
do {
  scenario.run(lab, options);
  made += TIMES;
  await pause(PAUSE_MS);
} while (performance.now() < end);
const { cause, beside = [] } = scenario;
const again: Again = { scenario: scenario.id, cause, beside, made, netns: lab.netnsInodes };
console.log(JSON.stringify(again));
