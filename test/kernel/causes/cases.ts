// SPDX-License-Identifier: Apache-2.0

import { CAUSES } from '../../../src/causes/registry.gen.ts';
import { type Case, casesOf } from '../../../src/lab/conformance.ts';
import type { Scenario } from '../../../src/lab/scenario.ts';
import { SCENARIOS } from '../../../src/lab/scenarios.ts';
import type { Family } from '../../../src/tcp/address.ts';

const isInfo = ({ cause, info }: Scenario) =>
  info ?? CAUSES.find(({ id }) => id === cause)?.severity === 'info';
const isAlone = ({ needs, of_host }: Scenario) => needs === 'rewriter' || of_host === true;

const isLookedFor = ({ scenario }: Case) => scenario.looked_for === true;

/** Those that a lab has to itself, but for the host: first what is looked for, while there are few namespaces. */
export function failuresOf(family: Family): Case[] {
  const scenarios = SCENARIOS.filter((one) => !isInfo(one) && !isAlone(one));
  const cases = scenarios.flatMap(casesOf).filter((one) => one.family === family);
  return cases.sort((a, b) => Number(isLookedFor(b)) - Number(isLookedFor(a)));
}

/** While they happen nothing else may: peers of the whole machine are rewritten, or its limits are others. */
export function failuresOfHost(): Case[] {
  return SCENARIOS.filter((one) => !isInfo(one) && isAlone(one)).flatMap(casesOf);
}

/** Notable things that are no failures. */
export function notable(): Case[] {
  return SCENARIOS.filter(isInfo).flatMap(casesOf);
}
