// SPDX-License-Identifier: Apache-2.0

import { CAUSES } from '../../src/causes/registry.gen.ts';
import { benign } from '../../src/diagnose/benign.ts';
import { HostKnowledge } from '../../src/known/host-knowledge.ts';
import { eventFromJson } from '../../src/wire/decode.ts';
import type { Event } from '../../src/wire/event.ts';
import type { Header } from '../../src/wire/types.gen.ts';
import { implied } from './implied.ts';
import { ENUMS } from './kernels.ts';
import { drops, FUNCTIONS, resets } from './variants.ts';

/** A reason that no kernel has: what is said of it is not said because of the reason. */
const ANOTHER = 'ANOTHER_REASON';

export interface Outcome {
  /** Ids of the causes that it can prove. */
  causes: string[];
  /** Why it can be ordinary. */
  benign: string[];
}

type Kind = 'drop' | 'reset_sent';

const variants: { [K in Kind]: readonly Event<K>[] } = { drop: drops(), reset_sent: resets() };

/**
 * What becomes of a drop for this reason, whatever segment and socket it happens to. Where resets have
 * the same reason, the segment was answered, and the answer explains the drop.
 */
export function dropOutcome(reason: string, answered: boolean): Outcome {
  return outcomeOf(reason, answered ? ['drop', 'reset_sent'] : ['drop']);
}

/** What becomes of a reset that is sent for this reason. */
export function resetOutcome(reason: string): Outcome {
  return outcomeOf(reason, ['reset_sent']);
}

function outcomeOf(reason: string, kinds: readonly Kind[]): Outcome {
  const causes = new Set<string>();
  const ordinary = new Set<string>();
  for (const kind of kinds) {
    const said = sayings(reason, kind);
    const comesFrom = implied(reason);
    const anyway = comesFrom ? [] : sayings(ANOTHER, kind);
    for (const [index, { event, matched, why }] of said.entries()) {
      if (comesFrom?.(event) === false) continue;
      for (const id of matched) if (!anyway[index]?.matched.includes(id)) causes.add(id);
      if (why !== null && matched.length === 0 && anyway[index]?.why !== why) ordinary.add(why);
    }
  }
  return { causes: [...causes].sort(), benign: [...ordinary].sort() };
}

interface Saying {
  event: Event<Kind>;
  matched: string[];
  why: string | null;
}

function sayings(reason: string, kind: Kind): Saying[] {
  const known = knowing(reason);
  const asked = CAUSES.filter(({ on }) => on.includes(kind));
  return variants[kind].map((event) => ({
    event,
    matched: asked.filter((cause) => cause.match(event, known)).map(({ id }) => id),
    why: benign(event, known),
  }));
}

/** A host on which the reason of every variant is this one. */
function knowing(reason: string): HostKnowledge {
  const names = { 0: reason, 1: ANOTHER };
  const enums = Object.keys(ENUMS).map((name) => ({ name, names }));
  const known = new HostKnowledge({
    enums,
    sysctls: {},
    filters: [],
    netns: 1,
  } as unknown as Header);
  for (const symbol of FUNCTIONS) known.learn(eventFromJson({ fact: { symbol } }));
  return known;
}
